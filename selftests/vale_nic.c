// SPDX-License-Identifier: BSD-2-Clause
/* A NIC on a VALE switch: what goes out on its wire, which the peer receives, and what cannot. */

#include "vale.h"

#define LEN	60

/* The sum of a counter over the rings of the port of a name, as debugfs has it; -1 if there is no such port. */
static long port_counter(const char *name, const char *key)
{
	FILE *file = fopen("/sys/kernel/debug/netmap/ports", "r");
	char line[512], want[64];
	bool inside = false;
	long sum = -1;

	if (!file)
		return -1;
	snprintf(want, sizeof(want), "%s: ", name);
	while (fgets(line, sizeof(line), file)) {
		char *at = strstr(line, key);

		if (line[0] != ' ') {
			inside = !strncmp(line, want, strlen(want));
			if (inside)
				sum = 0;
		} else if (inside && at) {
			sum += strtol(at + strlen(key), NULL, 10);
		}
	}
	fclose(file);
	return sum;
}

FIXTURE(nic) {
	struct port port, peer;
	char name[16];
	int fd;
};

FIXTURE_SETUP(nic)
{
	struct nmreq_vale_attach attach = { .reg.nr_mode = NR_REG_ALL_NIC };

	self->fd = device_open();
	snprintf(self->name, sizeof(self->name), "vale0:%.9s", test_interface());
	ASSERT_EQ(0, port_open(&self->peer, test_peer(), NR_REG_ALL_NIC, 0, 0));
	ASSERT_EQ(0, request(self->fd, NETMAP_REQ_VALE_ATTACH, self->name, &attach));
	ASSERT_EQ(0, vale_open(&self->port, "vale0:p"));
}

FIXTURE_TEARDOWN(nic)
{
	struct nmreq_vale_detach detach = { 0 };

	EXPECT_EQ(0, request(self->fd, NETMAP_REQ_VALE_DETACH, self->name, &detach));
	port_close(&self->port);
	port_close(&self->peer);
	close(self->fd);
}

/* Waits until the peer has got a frame, and says whether it is this one. Others on the wire may be from the hosts. */
static bool arrives(struct port *peer, const uint8_t *frame, uint32_t len)
{
	for (;;) {
		uint16_t ring;

		for (ring = 0; ring < peer->nifp->ni_rx_rings; ring++) {
			struct netmap_ring *rx = NETMAP_RXRING(peer->nifp, ring);

			while (!nm_ring_empty(rx)) {
				struct netmap_slot *slot = &rx->slot[rx->head];
				const uint8_t *found = (uint8_t *)NETMAP_BUF(rx, slot->buf_idx);

				rx->head = rx->cur = nm_ring_next(rx, rx->head);
				if (slot->len >= 14 && found[12] == 0x88 && found[13] == 0xb5)
					return slot->len >= len && !memcmp(found, frame, len);
			}
		}
		if (poll_once(peer->fd, POLLIN, 60000) != POLLIN)
			return false;
	}
}

/* What is too long for the interface costs nobody else's packets. */
TEST_F_TIMEOUT(nic, too_long, 300)
{
	struct netmap_ring *ring = NETMAP_TXRING(self->port.nifp, 0);
	static uint8_t packet[MOST_BYTES];
	uint32_t number, round, count;
	uint8_t frame[LEN];

	for (round = 0, number = 0; round < 5; round++) {
		for (count = 0; count < 100; count++) {
			frame_make(frame, LEN, ALL, HOST(1), number + count);
			ASSERT_TRUE(packet_put(ring, frame, LEN, LEN, 0));
			if (count % 25 != 3)
				continue;
			frame_make(packet, 20000, ALL, HOST(1), 0);
			ASSERT_TRUE(packet_put(ring, packet, 20000, 2048, 0));
		}
		ASSERT_EQ(0, ioctl(self->port.fd, NIOCTXSYNC, NULL));
		for (count = 0; count < 100; count++, number++) {
			frame_make(frame, LEN, ALL, HOST(1), number);
			ASSERT_TRUE(arrives(&self->peer, frame, LEN)) {
				TH_LOG("%u of round %u", count, round);
			}
		}
	}
	EXPECT_EQ(20, port_counter(self->name, " errors ") + port_counter(test_interface(), " errors "));
	EXPECT_EQ(0, port_counter(test_interface(), " reinits "));
}

/* An interface is attached with all of its rings, or with those of its host, too. */
TEST(attach_with_what_is_not_attached)
{
	static const struct {
		uint32_t mode;
		uint16_t ring;
	} bad[] = {
		{ NR_REG_DEFAULT, 0 }, { NR_REG_SW, 0 }, { NR_REG_ONE_NIC, 0 }, { NR_REG_ONE_NIC, 1 }, { NR_REG_NULL, 0 },
		{ NR_REG_ONE_SW, 0 }, { 4711, 0 }, { NR_REG_ALL_NIC, 1 }, { NR_REG_NIC_SW, 3 },
	};
	struct nmreq_vale_detach detach = { 0 };
	int fd = device_open();
	struct nmreq legacy;
	char name[15];
	uint32_t i;

	snprintf(name, sizeof(name), "vale0:%.8s", test_interface());
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct nmreq_vale_attach attach = { .reg = { .nr_mode = bad[i].mode, .nr_ringid = bad[i].ring } };

		EXPECT_EQ(EINVAL, request(fd, NETMAP_REQ_VALE_ATTACH, name, &attach)) {
			TH_LOG("mode %u, ring %u", bad[i].mode, bad[i].ring);
		}
		EXPECT_EQ(ENXIO, request(fd, NETMAP_REQ_VALE_DETACH, name, &detach));
	}
	legacy_init(&legacy, name);
	legacy.nr_cmd = NETMAP_BDG_ATTACH;
	legacy.nr_ringid = 2;
	EXPECT_EQ(EINVAL, errno_of(ioctl(fd, NIOCREGIF, &legacy)));
	legacy.nr_ringid = 0;
	EXPECT_EQ(0, errno_of(ioctl(fd, NIOCREGIF, &legacy)));
	EXPECT_EQ(0, request(fd, NETMAP_REQ_VALE_DETACH, name, &detach));
	close(fd);
}

TEST_HARNESS_MAIN
