// SPDX-License-Identifier: BSD-2-Clause
/* Persistent ports of VALE switches, as programs bind them. */

#include <net/if.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "capabilities.h"
#include "vale.h"

#define LEN	60

static int control(uint16_t type, const char *name, void *body)
{
	int fd = device_open(), error = request(fd, type, name, body);

	close(fd);
	return error;
}

static int interface_new(const char *name, struct nmreq_vale_newif *body)
{
	return control(NETMAP_REQ_VALE_NEWIF, name, body);
}

static int interface_delete(const char *name)
{
	return control(NETMAP_REQ_VALE_DELIF, name, NULL);
}

static int attach_as(const char *name, uint32_t mode)
{
	struct nmreq_vale_attach body = { .reg.nr_mode = mode };

	return control(NETMAP_REQ_VALE_ATTACH, name, &body);
}

static int attach(const char *name)
{
	return attach_as(name, NR_REG_ALL_NIC);
}

static int detach(const char *name)
{
	struct nmreq_vale_detach body = { 0 };

	return control(NETMAP_REQ_VALE_DETACH, name, &body);
}

/* Waits for a frame on a ring of a port; whether it is this one. The host sends none without an address. */
static bool arrives(struct port *port, uint32_t number, const uint8_t *from, uint16_t *which)
{
	uint8_t frame[LEN];
	uint16_t i;

	frame_make(frame, LEN, ALL, from, number);
	for (;;) {
		for (i = 0; i < port->nifp->ni_rx_rings; i++) {
			struct netmap_ring *ring = NETMAP_RXRING(port->nifp, i);
			struct netmap_slot *slot = &ring->slot[ring->head];

			if (nm_ring_empty(ring))
				continue;
			ring->head = ring->cur = nm_ring_next(ring, ring->head);
			*which = i;
			return slot->len == LEN && !memcmp(NETMAP_BUF(ring, slot->buf_idx), frame, LEN);
		}
		if (poll_once(port->fd, POLLIN, 60000) != POLLIN)
			return false;
	}
}

FIXTURE(interface) {
	struct nmreq_vale_newif made;
};

FIXTURE_SETUP(interface)
{
	self->made = (struct nmreq_vale_newif){ .nr_tx_slots = 256, .nr_rx_slots = 512, .nr_tx_rings = 2, .nr_rx_rings = 3 };
	ASSERT_EQ(0, interface_new("v0", &self->made));
}

FIXTURE_TEARDOWN(interface)
{
	EXPECT_EQ(0, interface_delete("v0"));
	EXPECT_EQ(0, if_nametoindex("v0"));
}

/* A request whose answer cannot be written has done nothing. */
TEST_F(interface, an_answer_that_cannot_be_written)
{
	size_t size = sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct nmreq_vale_attach *attach_body = page;

	ASSERT_NE(MAP_FAILED, page);
	/* Zeros stand for the default of each field that the three bodies have here. */
	ASSERT_EQ(0, mprotect(page, size, PROT_READ));
	EXPECT_EQ(EFAULT, interface_new("v1", page));
	EXPECT_EQ(0, if_nametoindex("v1"));
	ASSERT_EQ(0, mprotect(page, size, PROT_READ | PROT_WRITE));
	attach_body->reg.nr_mode = NR_REG_ALL_NIC;
	ASSERT_EQ(0, mprotect(page, size, PROT_READ));
	EXPECT_EQ(EFAULT, control(NETMAP_REQ_VALE_ATTACH, "vale0:v0", page));
	EXPECT_EQ(ENXIO, detach("vale0:v0"));
	ASSERT_EQ(0, attach("vale0:v0"));
	EXPECT_EQ(EFAULT, control(NETMAP_REQ_VALE_DETACH, "vale0:v0", page));
	EXPECT_EQ(0, detach("vale0:v0"));
	munmap(page, size);
}

/* It has the rings and the region that were asked for. */
TEST_F(interface, what_was_asked_for)
{
	struct nmreq_port_info_get info = { 0 };
	struct nmreq_vale_newif other = { .nr_mem_id = self->made.nr_mem_id };
	struct port port, shared;

	EXPECT_NE(0, if_nametoindex("v0"));
	EXPECT_EQ(2, self->made.nr_tx_rings);
	EXPECT_EQ(3, self->made.nr_rx_rings);
	EXPECT_EQ(256, self->made.nr_tx_slots);
	EXPECT_EQ(512, self->made.nr_rx_slots);
	EXPECT_LT(1, self->made.nr_mem_id);
	ASSERT_EQ(0, control(NETMAP_REQ_PORT_INFO_GET, "v0", &info));
	EXPECT_EQ(2, info.nr_tx_rings);
	EXPECT_EQ(3, info.nr_rx_rings);
	EXPECT_EQ(256, info.nr_tx_slots);
	EXPECT_EQ(512, info.nr_rx_slots);
	EXPECT_EQ(self->made.nr_mem_id, info.nr_mem_id);
	/* Its region is there as long as it is. */
	ASSERT_EQ(0, vale_open(&port, "v0"));
	EXPECT_EQ(self->made.nr_mem_id, port.reg.nr_mem_id);
	port_close(&port);
	shared = (struct port){ .reg = { .nr_mem_id = self->made.nr_mem_id } };
	ASSERT_EQ(0, vale_open_as(&shared, "vale0:p"));
	port_close(&shared);
	ASSERT_EQ(0, interface_new("v1", &other));
	EXPECT_EQ(self->made.nr_mem_id, other.nr_mem_id);
	EXPECT_EQ(1, other.nr_tx_rings);
	EXPECT_EQ(1024, other.nr_rx_slots);
	EXPECT_EQ(0, interface_delete("v1"));
}

/* What a process without capabilities finds, which is not 1; the status of its end. */
static int without_capabilities(int (*find)(void))
{
	pid_t child = fork();
	int status = -1;

	if (!child)
		_exit(keep_capabilities(0) ? 1 : find());
	waitpid(child, &status, 0);
	return status;
}

static int ports_of_everybody(void)
{
	struct port port;

	if (vale_open(&port, "vale0:own"))
		return 2;
	if (vale_open(&port, "vale0:p") != EPERM)
		return 3;
	return port_open(&port, "vale0:p{1", NR_REG_ALL_NIC, 0, 0) == EPERM ? 0 : 4;
}

/* What the host sends is in its region: a port of a switch there is not for everybody. */
TEST_F(interface, memory_of_the_host)
{
	struct port shared = { .reg = { .nr_mem_id = self->made.nr_mem_id } };

	ASSERT_EQ(0, vale_open_as(&shared, "vale0:p"));
	EXPECT_EQ(0, without_capabilities(ports_of_everybody));
	port_close(&shared);
}

TEST_F(interface, refused)
{
	static const char *const names[] = { "vale0", "vale0:x", "v%d", "a/b", ".", "..", "", "sixteen_letters_", "v 0", "v0{1" };
	struct nmreq_vale_newif body = { .nr_mem_id = 4711 };
	struct port port;
	uint32_t i;

	EXPECT_EQ(EINVAL, interface_new("v1", &body));
	EXPECT_EQ(0, if_nametoindex("v1"));
	body.nr_mem_id = 0;
	EXPECT_EQ(EEXIST, interface_new("v0", &body));
	EXPECT_EQ(EEXIST, interface_new("lo", &body));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT_EQ(EINVAL, interface_new(names[i], &body)) {
			TH_LOG("name %u", i);
		}
	EXPECT_EQ(ENXIO, interface_delete("v1"));
	EXPECT_EQ(EINVAL, interface_delete("lo"));
	EXPECT_EQ(EINVAL, interface_delete(test_interface()));
	/* While a program has it, or it is on a switch. */
	ASSERT_EQ(0, vale_open(&port, "v0"));
	EXPECT_EQ(EBUSY, interface_delete("v0"));
	port_close(&port);
	ASSERT_EQ(0, port_open(&port, "v0", NR_REG_ALL_NIC, 0, NR_STACK));
	EXPECT_EQ(EBUSY, interface_delete("v0"));
	port_close(&port);
	ASSERT_EQ(0, attach("vale0:v0"));
	EXPECT_EQ(EBUSY, interface_delete("v0"));
	EXPECT_EQ(EBUSY, attach("vale0:v0"));
	EXPECT_EQ(EOPNOTSUPP, header_set("vale0:v0", 12));
	EXPECT_EQ(0, detach("vale0:v0"));
	EXPECT_EQ(ENXIO, detach("vale0:v0"));
}

TEST_F(interface, legacy)
{
	struct nmreq request;
	int fd = device_open();

	legacy_init(&request, "v1");
	request.nr_cmd = NETMAP_BDG_NEWIF;
	request.nr_tx_rings = 2;
	request.nr_rx_slots = 128;
	ASSERT_EQ(0, errno_of(ioctl(fd, NIOCREGIF, &request)));
	EXPECT_EQ(2, request.nr_tx_rings);
	EXPECT_EQ(128, request.nr_rx_slots);
	EXPECT_NE(0, request.nr_arg2);
	EXPECT_NE(0, if_nametoindex("v1"));
	legacy_init(&request, "v1");
	request.nr_cmd = NETMAP_BDG_DELIF;
	EXPECT_EQ(0, errno_of(ioctl(fd, NIOCREGIF, &request)));
	EXPECT_EQ(0, if_nametoindex("v1"));
	EXPECT_EQ(ENXIO, errno_of(ioctl(fd, NIOCREGIF, &request)));
	close(fd);
}

/* What a program sends by it goes to the switch, by whatever ring, and what that has for it is received, by the ring of that number. */
TEST_F_TIMEOUT(interface, on_a_switch, 300)
{
	struct port port, other = { .reg = { .nr_tx_rings = 3, .nr_rx_rings = 2 } };
	uint8_t frame[LEN];
	uint32_t number;
	uint16_t which;

	ASSERT_EQ(0, vale_open_as(&other, "vale0:p"));
	/* Not attached: it is lost. */
	ASSERT_EQ(0, vale_open(&port, "v0"));
	ASSERT_EQ(0, frame_send(&port, LEN, ALL, HOST(1), 999, 0));
	port_close(&port);
	ASSERT_EQ(0, attach("vale0:v0"));
	ASSERT_EQ(0, vale_open(&port, "v0"));
	for (number = 0; number < 300; number++) {
		uint16_t ring = number % 2;

		frame_make(frame, LEN, ALL, HOST(1), number);
		ASSERT_TRUE(packet_put(NETMAP_TXRING(port.nifp, ring), frame, LEN, LEN, 0));
		ASSERT_EQ(0, ioctl(port.fd, NIOCTXSYNC, NULL));
		ASSERT_TRUE(arrives(&other, number, HOST(1), &which)) {
			TH_LOG("%u", number);
		}
	}
	for (number = 0; number < 300; number++) {
		uint16_t ring = number % 3;

		/* By the address that the switch has learnt: a flood would go to the first ring. */
		frame_make(frame, LEN, HOST(1), HOST(2), number);
		memcpy(frame, HOST(1), 6);
		ASSERT_TRUE(packet_put(NETMAP_TXRING(other.nifp, ring), frame, LEN, LEN, 0));
		ASSERT_EQ(0, ioctl(other.fd, NIOCTXSYNC, NULL));
		for (;;) {
			struct netmap_ring *rx = NETMAP_RXRING(port.nifp, ring);
			struct netmap_slot *slot = &rx->slot[rx->head];

			if (nm_ring_empty(rx)) {
				ASSERT_EQ(POLLIN, poll_once(port.fd, POLLIN, 60000)) {
					TH_LOG("%u", number);
				}
				continue;
			}
			rx->head = rx->cur = nm_ring_next(rx, rx->head);
			if (memcmp(NETMAP_BUF(rx, slot->buf_idx), frame, LEN) == 0)
				break;
		}
	}
	EXPECT_EQ(0, detach("vale0:v0"));
	port_close(&port);
	port_close(&other);
}

/* Sends frames both ways between two ports, whose addresses no switch needs to know. */
static bool talk(struct port *one, struct port *other)
{
	struct port *ports[2] = { one, other };
	uint16_t which;
	uint32_t i;

	for (i = 0; i < 100; i++) {
		struct port *from = ports[i % 2], *to = ports[1 - i % 2];

		if (frame_send(from, LEN, ALL, HOST(1 + i % 2), i, 0) || !arrives(to, i, HOST(1 + i % 2), &which))
			return false;
	}
	return true;
}

/* While it is attached, its name on the switch is another name of the interface. */
TEST_F_TIMEOUT(interface, by_its_name_on_the_switch, 300)
{
	struct nmreq_port_info_get info = { 0 };
	struct port port, other, pipe;
	uint32_t number;

	EXPECT_EQ(EINVAL, vale_open(&port, "vale0:v0"));
	EXPECT_EQ(EINVAL, control(NETMAP_REQ_PORT_INFO_GET, "vale0:v0", &info));
	ASSERT_EQ(0, attach("vale0:v0"));
	ASSERT_EQ(0, vale_open(&other, "vale0:p"));
	ASSERT_EQ(0, control(NETMAP_REQ_PORT_INFO_GET, "vale0:v0", &info));
	EXPECT_EQ(2, info.nr_tx_rings);
	EXPECT_EQ(512, info.nr_rx_slots);
	EXPECT_EQ(self->made.nr_mem_id, info.nr_mem_id);
	/* Exclusively of all who have the interface. */
	ASSERT_EQ(0, port_open(&port, "vale0:v0", NR_REG_ALL_NIC, 0, NR_EXCLUSIVE));
	EXPECT_EQ(3, port.reg.nr_rx_rings);
	EXPECT_EQ(self->made.nr_mem_id, port.reg.nr_mem_id);
	EXPECT_EQ(EBUSY, vale_open(&pipe, "vale0:v0"));
	EXPECT_EQ(EBUSY, vale_open(&pipe, "v0"));
	EXPECT_TRUE(talk(&port, &other));
	/* So are the pipes on it. */
	ASSERT_EQ(0, vale_open(&pipe, "vale0:v0{1"));
	EXPECT_EQ(self->made.nr_mem_id, pipe.reg.nr_mem_id);
	EXPECT_EQ(0, header_get("v0}1", &number));
	EXPECT_EQ(0, header_get("vale0:v0}1", &number));
	EXPECT_EQ(ENXIO, header_get("vale0:v0}2", &number));
	port_close(&pipe);
	EXPECT_EQ(EBUSY, interface_delete("v0"));
	/* A program that has it bound keeps the interface. */
	EXPECT_EQ(0, detach("vale0:v0"));
	EXPECT_EQ(EINVAL, vale_open(&pipe, "vale0:v0"));
	ASSERT_EQ(0, attach("vale0:v0"));
	EXPECT_TRUE(talk(&port, &other));
	EXPECT_EQ(0, detach("vale0:v0"));
	port_close(&port);
	port_close(&other);
}

static int interface_of_the_privileged(void)
{
	struct port port;

	return vale_open(&port, "vale0:v0") == EPERM ? 0 : 2;
}

/* It takes the same right, too. */
TEST_F(interface, by_its_name_without_capabilities)
{
	ASSERT_EQ(0, attach("vale0:v0"));
	EXPECT_EQ(0, without_capabilities(interface_of_the_privileged));
	EXPECT_EQ(0, detach("vale0:v0"));
}

/* On a second switch it is an interface as any other, and so the two switches are joined. */
TEST_F_TIMEOUT(interface, on_two_switches, 300)
{
	struct port one, two, other;
	uint32_t number, round;

	ASSERT_EQ(0, vale_open(&one, "vale0:p"));
	ASSERT_EQ(0, vale_open(&two, "vale1:p"));
	ASSERT_EQ(0, attach("vale0:v0"));
	/* Not while a program has it. */
	ASSERT_EQ(0, vale_open(&other, "vale0:v0"));
	EXPECT_EQ(EBUSY, attach("vale1:v0"));
	port_close(&other);
	ASSERT_EQ(0, attach_as("vale1:v0", NR_REG_NIC_SW));
	EXPECT_EQ(0, header_get("vale1:v0^", &number));
	EXPECT_EQ(0, detach("vale1:v0"));
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, attach("vale1:v0"));
		EXPECT_EQ(EBUSY, attach("vale0:v0"));
		EXPECT_EQ(EBUSY, attach("vale1:v0"));
		EXPECT_EQ(EBUSY, attach("vale2:v0"));
		EXPECT_EQ(EBUSY, vale_open(&other, "v0"));
		EXPECT_EQ(EBUSY, vale_open(&other, "vale0:v0"));
		EXPECT_EQ(EBUSY, vale_open(&other, "vale1:v0"));
		EXPECT_EQ(EBUSY, vale_open(&other, "vale0:v0{1"));
		EXPECT_EQ(EBUSY, interface_delete("v0"));
		EXPECT_TRUE(talk(&one, &two));
		/* In either order. */
		EXPECT_EQ(0, detach(round ? "vale1:v0" : "vale0:v0"));
		EXPECT_EQ(EBUSY, interface_delete("v0"));
		if (!round) {
			ASSERT_EQ(0, attach("vale0:v0"));
			EXPECT_TRUE(talk(&one, &two));
			EXPECT_EQ(0, detach("vale1:v0"));
		}
	}
	EXPECT_EQ(0, detach("vale0:v0"));
	port_close(&one);
	port_close(&two);
}

/* An interface that goes takes its port with it, and leaves those that have it bound. */
TEST_F(interface, goes_while_bound)
{
	struct nmreq_vale_newif body = { 0 };
	struct port port;
	uint32_t number;

	ASSERT_EQ(0, interface_new("v1", &body));
	ASSERT_EQ(0, attach("vale0:v1"));
	ASSERT_EQ(0, vale_open(&port, "v1"));
	ASSERT_EQ(0, system("ip link del v1"));
	EXPECT_EQ(0, if_nametoindex("v1"));
	EXPECT_EQ(POLLERR, poll_once(port.fd, POLLIN, -1) & POLLERR);
	EXPECT_EQ(ENXIO, errno_of(ioctl(port.fd, NIOCTXSYNC, NULL)));
	port_close(&port);
	/* Its port leaves the switch. */
	while (header_get("vale0:v1", &number) == 0)
		sched_yield();
	/* From two switches, too. */
	body = (struct nmreq_vale_newif){ 0 };
	ASSERT_EQ(0, interface_new("v1", &body));
	ASSERT_EQ(0, attach("vale0:v1"));
	ASSERT_EQ(0, attach("vale1:v1"));
	ASSERT_EQ(0, system("ip link del v1"));
	while (header_get("vale0:v1", &number) == 0 || header_get("vale1:v1", &number) == 0)
		sched_yield();
	body = (struct nmreq_vale_newif){ 0 };
	ASSERT_EQ(0, interface_new("v1", &body));
	ASSERT_EQ(0, interface_delete("v1"));
}

TEST_HARNESS_MAIN
