// SPDX-License-Identifier: BSD-2-Clause
/* Ports of a VALE switch that differ in the header before their packets, or in the size of their buffers. */

#include <linux/virtio_net.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include "vale.h"

static const char *const switch_ports[] = { "vale0:a", "vale0:b" };

FIXTURE(header) {
	struct port a, b;
	uint8_t *packet, *found;
};

FIXTURE_SETUP(header)
{
	ASSERT_EQ(0, vale_open(&self->a, switch_ports[0]));
	ASSERT_EQ(0, vale_open(&self->b, switch_ports[1]));
	self->packet = calloc(2, MOST_BYTES);
	self->found = self->packet + MOST_BYTES;
}

FIXTURE_TEARDOWN(header)
{
	port_close(&self->a);
	port_close(&self->b);
	free(self->packet);
}

TEST_F(header, requests)
{
	static const uint32_t good[] = { 12, 10, 0 };
	struct nmreq legacy;
	uint32_t len, i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		EXPECT_EQ(0, header_set("vale0:a", good[i]));
		EXPECT_EQ(0, header_get("vale0:a", &len));
		EXPECT_EQ(good[i], len);
		EXPECT_EQ(0, header_get("vale0:b", &len));
		EXPECT_EQ(0, len);
	}
	EXPECT_EQ(EINVAL, header_set("vale0:a", 11));
	EXPECT_EQ(EINVAL, header_set("vale0:a", UINT32_MAX));
	EXPECT_EQ(ENXIO, header_set("vale0:none", 10));
	EXPECT_EQ(ENXIO, header_set("vale1:a", 10));
	EXPECT_EQ(ENXIO, header_set(test_interface(), 10));
	EXPECT_EQ(ENXIO, header_get("vale0:none", &len));
	EXPECT_EQ(ENXIO, header_get("nothing0", &len));
	EXPECT_EQ(0, header_get(test_interface(), &len));
	EXPECT_EQ(0, len);
	legacy_init(&legacy, "vale0:b");
	legacy.nr_cmd = NETMAP_BDG_VNET_HDR;
	legacy.nr_arg1 = 12;
	EXPECT_EQ(0, errno_of(ioctl(self->a.fd, NIOCREGIF, &legacy)));
	legacy.nr_arg1 = 3;
	legacy.nr_cmd = NETMAP_VNET_HDR_GET;
	EXPECT_EQ(0, errno_of(ioctl(self->a.fd, NIOCREGIF, &legacy)));
	EXPECT_EQ(12, legacy.nr_arg1);
}

/* The frame is the same behind any two headers, and the header is what is left of the sender's. */
TEST_F(header, between_any_two)
{
	static const uint32_t headers[] = { 0, 10, 12 };
	uint32_t i, j, k, len;

	for (i = 0; i < 3; i++) {
		for (j = 0; j < 3; j++) {
			ASSERT_EQ(0, header_set("vale0:a", headers[i]));
			ASSERT_EQ(0, header_set("vale0:b", headers[j]));
			for (len = 14; len < 9000; len = len * 2 + 3) {
				uint32_t part;

				for (part = headers[i] ? headers[i] : 2048; part <= 2048; part += 679) {
					uint8_t wanted[12] = { 0 };
					/* No header, or flags that say nothing to do, and a number of buffers. */
					const uint8_t header[12] = { 2, 0, 7, 7, 8, 8, 9, 9, 1, 1, 5, 6 };
					uint32_t before = headers[i];

					if ((before + len + part - 1) / part > 64)
						continue;
					/* Header and addresses are in one slot, or the header is in one of its own. */
					if (part < before + 14 && part != before)
						continue;
					if (part == before && part < 14)
						continue;
					memcpy(self->packet, header, before);
					frame_make(self->packet + before, len, ALL, HOST(1), len);
					ASSERT_EQ(0, packet_send(&self->a, self->packet, before + len, part, 0));
					ASSERT_EQ(headers[j] + len, packet_take(&self->b, self->found)) {
						TH_LOG("%u to %u, %u bytes, %u in a slot", before, headers[j], len, part);
					}
					ASSERT_EQ(0, memcmp(self->packet + before, self->found + headers[j], len));
					for (k = 0; k < 12 && before; k++)
						wanted[k] = k < 10 || before == headers[j] ? header[k] : 0;
					ASSERT_EQ(0, memcmp(self->found, wanted, headers[j]));
				}
			}
		}
	}
}

/* A header alone in the first slot, and shorter than any. */
TEST_F(header, alone_and_short)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->a.nifp, 0);
	struct netmap_slot *slot = &ring->slot[ring->head];

	ASSERT_EQ(0, header_set("vale0:a", 12));
	memset(NETMAP_BUF(ring, slot->buf_idx), 0, 12);
	slot->len = 12;
	slot->flags = NS_MOREFRAG;
	ring->head = ring->cur = nm_ring_next(ring, ring->head);
	ASSERT_EQ(0, frame_send(&self->a, 60, ALL, HOST(1), 1, 0));
	EXPECT_TRUE(frame_is(&self->b, 60, ALL, HOST(1), 1));
	for (uint32_t len = 0; len < 26; len++)
		ASSERT_EQ(0, packet_send(&self->a, self->packet, len, 2048, 0));
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_EQ(26, port_count(&self->a, " drops "));
}

static uint32_t sum(const uint8_t *bytes, uint32_t len, uint32_t so_far)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		so_far += i % 2 ? bytes[i] : bytes[i] << 8;
	while (so_far >> 16)
		so_far = (so_far & 0xffff) + (so_far >> 16);
	return so_far;
}

/* The sum over TCP or UDP with the pseudo header of an IPv4 packet of a frame; 0xffff if the checksum is right. */
static uint32_t transport_sum(const uint8_t *frame, uint32_t len)
{
	uint8_t pseudo[12];

	memcpy(pseudo, frame + 26, 8);
	pseudo[8] = 0;
	pseudo[9] = frame[23];
	pseudo[10] = (len - 34) >> 8;
	pseudo[11] = (len - 34) & 0xff;
	return sum(frame + 34, len - 34, sum(pseudo, 12, 0));
}

/* A packet of TCP or UDP behind a header of 12 bytes; its length. */
static uint32_t make_packet(uint8_t *packet, struct virtio_net_hdr *header, uint8_t protocol, uint32_t data)
{
	uint32_t l4 = protocol == IPPROTO_TCP ? 20 : 8, i, len = 34 + l4 + data;
	uint8_t *frame = packet + 12;
	struct iphdr *ip = (struct iphdr *)(frame + 14);

	memset(packet, 0, 12 + 54);
	memcpy(packet, header, 10);
	memcpy(frame, ALL, 6);
	memcpy(frame + 6, HOST(1), 6);
	frame[12] = 8;
	*ip = (struct iphdr){ .version = 4, .ihl = 5, .tot_len = htons(len - 14), .id = htons(77), .ttl = 64,
			      .protocol = protocol, .saddr = htonl(0x0a000001), .daddr = htonl(0x0a000002) };
	if (protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = (struct tcphdr *)(ip + 1);

		*tcp = (struct tcphdr){ .source = htons(1), .dest = htons(2), .seq = htonl(1000), .doff = 5, .ack = 1,
					.psh = 1, .fin = 1 };
	} else {
		struct udphdr *udp = (struct udphdr *)(ip + 1);

		*udp = (struct udphdr){ .source = htons(1), .dest = htons(2), .len = htons(8 + data) };
	}
	for (i = 0; i < data; i++)
		frame[34 + l4 + i] = i * 31 >> 3;
	return 12 + len;
}

TEST_F(header, checksum)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	uint32_t data, i, part;

	ASSERT_EQ(0, header_set("vale0:a", 12));
	for (i = 0; i < 2; i++) {
		for (data = 0; data < 1400; data = data * 3 + 1) {
			for (part = 61; part < 2048; part = part * 2 + 1) {
				struct virtio_net_hdr header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34,
								 .csum_offset = i ? 6 : 16 };
				uint32_t len = make_packet(self->packet, &header, protocols[i], data), value;
				uint8_t *field = self->packet + 12 + 34 + header.csum_offset, pseudo[12];

				if ((len + part - 1) / part > 64)
					continue;
				/* The field has the sum of the pseudo header, as a stack leaves it. */
				memcpy(pseudo, self->packet + 12 + 26, 8);
				pseudo[8] = 0;
				pseudo[9] = protocols[i];
				pseudo[10] = (len - 46) >> 8;
				pseudo[11] = (len - 46) & 0xff;
				value = sum(pseudo, 12, 0);
				field[0] = value >> 8;
				field[1] = value & 0xff;
				ASSERT_EQ(0, packet_send(&self->a, self->packet, len, part, 0));
				ASSERT_EQ(len - 12, packet_take(&self->b, self->found)) {
					TH_LOG("%u bytes, %u in a slot", data, part);
				}
				EXPECT_EQ(0xffff, transport_sum(self->found, len - 12));
				EXPECT_EQ(0, memcmp(self->found, self->packet + 12, 34 + header.csum_offset));
			}
		}
	}
	EXPECT_EQ(0, port_count(&self->b, " errors "));
}

TEST_F(header, tcp_is_cut)
{
	struct virtio_net_hdr header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					 .gso_size = 1000, .csum_start = 34, .csum_offset = 16 };
	uint32_t len, at = 0, id = 77;

	ASSERT_EQ(0, header_set("vale0:a", 12));
	len = make_packet(self->packet, &header, IPPROTO_TCP, 30500);
	ASSERT_EQ(0, packet_send(&self->a, self->packet, len, 1999, 0));
	while (at < 30500) {
		uint32_t data = 30500 - at < 1000 ? 30500 - at : 1000;
		struct iphdr *ip = (struct iphdr *)(self->found + 14);
		struct tcphdr *tcp = (struct tcphdr *)(ip + 1);

		ASSERT_EQ(54 + data, packet_take(&self->b, self->found));
		EXPECT_EQ(0xffff, sum(self->found + 14, 20, 0));
		EXPECT_EQ(0xffff, transport_sum(self->found, 54 + data));
		EXPECT_EQ(40 + data, ntohs(ip->tot_len));
		EXPECT_EQ(id, ntohs(ip->id));
		EXPECT_EQ(1000 + at, ntohl(tcp->seq));
		EXPECT_EQ(at + data == 30500, !!tcp->fin);
		EXPECT_EQ(at + data == 30500, !!tcp->psh);
		EXPECT_EQ(0, memcmp(self->found + 54, self->packet + 12 + 54 + at, data));
		at += data;
		id++;
	}
	EXPECT_TRUE(is_silent(&self->b));
	/* To a port with a header it goes as it is. */
	ASSERT_EQ(0, header_set("vale0:b", 10));
	ASSERT_EQ(0, packet_send(&self->a, self->packet, len, 1999, 0));
	ASSERT_EQ(len - 2, packet_take(&self->b, self->found));
	EXPECT_EQ(0, memcmp(self->found, self->packet, 10));
	EXPECT_EQ(0, memcmp(self->found + 10, self->packet + 12, len - 12));
}

/* What is cut arrives as a whole or not at all, and counts once: also when it could never arrive. */
TEST_F(header, no_part_of_what_is_cut)
{
	struct virtio_net_hdr header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					 .gso_size = 1000, .csum_start = 34, .csum_offset = 16 };
	uint32_t len, i;

	ASSERT_EQ(0, header_set("vale0:a", 12));
	len = make_packet(self->packet, &header, IPPROTO_TCP, 60000);
	/* In a ring of 1023 slots there is room for 17 times 60. */
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, packet_send(&self->a, self->packet, len, 2048, 0));
	EXPECT_EQ(17 * 60, port_count(&self->b, " packets "));
	EXPECT_EQ(3, port_count(&self->b, " drops "));
	for (i = 0; i < 17 * 60; i++)
		ASSERT_EQ(1054, packet_take(&self->b, self->found));
	EXPECT_TRUE(is_silent(&self->b));
	ASSERT_EQ(0, packet_send(&self->a, self->packet, len, 2048, 0));
	for (i = 0; i < 60; i++)
		ASSERT_EQ(1054, packet_take(&self->b, self->found));
	EXPECT_EQ(0, port_count(&self->b, " errors "));

	header.gso_size = 48;
	len = make_packet(self->packet, &header, IPPROTO_TCP, 65000);
	ASSERT_EQ(0, packet_send(&self->a, self->packet, len, 2048, 0));
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_EQ(1, port_count(&self->b, " errors "));
	EXPECT_EQ(3, port_count(&self->b, " drops "));
	header.gso_size = 47;
	len = make_packet(self->packet, &header, IPPROTO_TCP, 4700);
	ASSERT_EQ(0, packet_send(&self->a, self->packet, len, 2048, 0));
	EXPECT_TRUE(is_silent(&self->b));
	EXPECT_EQ(2, port_count(&self->b, " errors "));
}

TEST_F(header, udp_is_cut_into_fragments)
{
	struct virtio_net_hdr header = { .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 1003 };
	static uint8_t datagram[10000];
	uint32_t len, at = 0;

	ASSERT_EQ(0, header_set("vale0:a", 12));
	len = make_packet(self->packet, &header, IPPROTO_UDP, 6000);
	ASSERT_EQ(0, packet_send(&self->a, self->packet, len, 2048, 0));
	memcpy(datagram, self->packet + 12, 34);
	while (at < 6008) {
		uint32_t bytes = 6008 - at < 1000 ? 6008 - at : 1000;
		struct iphdr *ip = (struct iphdr *)(self->found + 14);

		ASSERT_EQ(34 + bytes, packet_take(&self->b, self->found));
		EXPECT_EQ(0xffff, sum(self->found + 14, 20, 0));
		EXPECT_EQ(77, ntohs(ip->id));
		EXPECT_EQ(at / 8 | (at + bytes < 6008 ? 0x2000 : 0), ntohs(ip->frag_off));
		memcpy(datagram + 34 + at, self->found + 34, bytes);
		at += bytes;
	}
	EXPECT_EQ(0xffff, transport_sum(datagram, 6042));
	EXPECT_EQ(0, memcmp(datagram + 42, self->packet + 12 + 42, 6000));
	EXPECT_TRUE(is_silent(&self->b));
}

/* What makes no sense is dropped, and counted where it would have gone. */
TEST_F(header, bad_headers)
{
	struct virtio_net_hdr bad[] = {
		{ .flags = 4 }, { .gso_type = 2 }, { .gso_type = 5 }, { .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 100 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 100 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 200, .csum_offset = 65000 },
	};
	uint32_t i, len;

	ASSERT_EQ(0, header_set("vale0:a", 12));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		len = make_packet(self->packet, &bad[i], IPPROTO_TCP, 200);
		ASSERT_EQ(0, packet_send(&self->a, self->packet, len, 2048, 0));
		EXPECT_TRUE(is_silent(&self->b)) {
			TH_LOG("%u", i);
		}
	}
	EXPECT_EQ(ARRAY_SIZE(bad), port_count(&self->b, " errors "));
}

TEST_HARNESS_MAIN
