// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every allocation and every copy from and to user space that a call makes fails once: the first of them, then the
 * second, until the call makes fewer. Each time the errno is that of the failure, nothing is left behind, and the NIC
 * carries the stack's packets. What cannot be sent for want of memory, through a driver that keeps its queues, is sent
 * later. The kernel must have fault injection; only such that stem from netmap are counted.
 *
 * An allocator may have a second way. Where failures last, all allocations after the first that fails do so too.
 */
#include <dirent.h>
#include "faults.h"
#include "host.h"

#define LEN	100

/* How many messages (MSI-X, MSI) the NIC's driver has. */
static int count_interrupts(void)
{
	struct dirent *entry;
	char path[128];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/msi_irqs", nic_name());
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += *entry->d_name != '.';
	closedir(dir);
	return count;
}

FIXTURE(failures) {
	struct sites *sites;
	long buffers, carrier;
	int near, far, interrupts;
	uint32_t number;
};

FIXTURE_SETUP(failures)
{
	ASSERT_EQ(0, aim());
	self->sites = open_sites();
	ASSERT_NE(NULL, self->sites);
	self->near = packet_socket(nic_name(), PROTOCOL, false);
	self->far = packet_socket(peer_name(), PROTOCOL, false);
	ASSERT_LE(0, self->near);
	ASSERT_LE(0, self->far);
	ASSERT_TRUE(has_carrier(nic_name()) && has_carrier(peer_name()));
	self->buffers = pool_used("buffers");
	self->carrier = carrier_changes(nic_name());
	self->interrupts = count_interrupts();
}

FIXTURE_TEARDOWN(failures)
{
	close_sites(self->sites);
	close(self->near);
	close(self->far);
}

/* As stack_carries(); of a frame that is lost the NICs' own counters tell where, and their drivers perhaps why. */
static bool carries(int near, int far, uint32_t number)
{
	char command[256];

	if (stack_carries(near, far, LEN, number))
		return true;
	snprintf(command, sizeof(command), "for i in %s %s; do ip -s -s link show $i; ethtool -S $i | grep -v ': 0$'; done; "
		 "dmesg | grep -E '%s|netmap: ' | tail -n 40", nic_name(), peer_name(), getenv("TEST_NIC"));
	if (system(command))
		printf("# no counters of one\n");
	return false;
}

#define EXPECT_AS_BEFORE(n) do { \
	EXPECT_EQ(self->buffers, pool_used("buffers")) TH_LOG("after failure %ld", n); \
	EXPECT_TRUE(carries(self->near, self->far, self->number)) TH_LOG("after failure %ld", n); \
	self->number += 2; \
	add_sites(self->sites); \
	if ((n) % 20 == 0) \
		printf("# failure %ld\n", (long)(n)); \
} while (0)

/*
 * A driver that did not get all interrupts when it opened the NIC does without MSI-X from then on. igb has one queue then.
 * ixgbe keeps all and serves one of them: the others hang, and it resets the NIC for that, again and again, with netmap or
 * without. It must be bound to the device anew.
 */
static bool lacks_interrupts(const FIXTURE_DATA(failures) *self)
{
	return count_interrupts() < self->interrupts;
}

static bool bind_driver_anew(FIXTURE_DATA(failures) *self)
{
	char command[512];

	close(self->near);
	snprintf(command, sizeof(command),
		 "device=$(readlink -f /sys/class/net/%s/device) && driver=$(readlink -f $device/driver) && "
		 "echo ${device##*/} >$driver/unbind && echo ${device##*/} >$driver/bind && ip link set %s up",
		 nic_name(), nic_name());
	if (system(command) || lacks_interrupts(self))
		return false;
	self->near = packet_socket(nic_name(), PROTOCOL, false);
	return self->near >= 0 && has_carrier(nic_name()) && has_carrier(peer_name());
}

TEST_F_TIMEOUT(failures, of_binding, 1800)
{
	static const uint32_t modes[] = { NR_REG_ALL_NIC, NR_REG_NIC_SW, NR_REG_ONE_NIC };
	long n, total = 0;
	size_t mode;

	for (mode = 0; mode < sizeof(modes) / sizeof(*modes); mode++) {
		bool failed = true;

		ASSERT_EQ(0, last(modes[mode] == NR_REG_NIC_SW));
		for (n = 1; failed; n++) {
			struct nmreq_register reg = { .nr_mode = modes[mode], .nr_tx_slots = SLOTS, .nr_rx_slots = SLOTS };
			int err, fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);

			ASSERT_LE(0, fd);
			ASSERT_EQ(0, arm(n));
			err = port_register(fd, nic_name(), &reg);
			failed = met();
			EXPECT_TRUE(is_of_failure(err)) TH_LOG("mode %u, failure %ld: %d", modes[mode], n, err);
			EXPECT_EQ(0, close(fd));
			EXPECT_AS_BEFORE(n);
			ASSERT_GT(2000, n);
		}
		total += n - 2;
	}
	TH_LOG("%ld failures", total);
	EXPECT_LT(30, total);
	EXPECT_EQ(self->carrier, carrier_changes(nic_name()));
}

/* The hook in the driver's functions stays for a second after the last port of ixgbe is gone. */
static bool is_hooked(void)
{
	return system("grep -q ixgbe_ /sys/kernel/tracing/enabled_functions") == 0;
}

/* What a function asks for, if it does not say in the log that it got none, or not at each bind. */
TEST_F_TIMEOUT(failures, of_some_functions, 1200)
{
	static const struct {
		const char *pattern, *nic;
		bool native, lasts, every;
	} functions[] = {
		{ "netmap_pages_alloc", NULL, false, true, false },
		{ "netmap_vmap", NULL, false, false, false },
		/* The table of a NIC's addresses comes first. It is too large for one page: vmalloc() must fail as well. */
		{ "_R*7NicPort7prepare", NULL, true, true, false },
		{ "*9intercept*9Installed3new", "ixgbe", true, false, true },
	};
	const char *nic = getenv("TEST_NIC") ?: "";
	unsigned long start, end;
	size_t i;
	long n;

	for (i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		bool failed = true, refused = false;

		if ((functions[i].nic && strcmp(functions[i].nic, nic)) || (functions[i].native && is_emulated()))
			continue;
		start = extent_of(functions[i].pattern, &end);
		ASSERT_NE(0, start) TH_LOG("%s", functions[i].pattern);
		ASSERT_EQ(0, aim_at(start, end));
		ASSERT_EQ(0, last(functions[i].lasts));
		for (n = 1; failed && (n < 4 || functions[i].every); n++) {
			struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = SLOTS, .nr_rx_slots = SLOTS };
			int64_t limit = now_ms() + LIMIT_MS;
			int err, fd;

			while (functions[i].every && is_hooked())
				ASSERT_GT(limit, now_ms());
			fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);
			ASSERT_LE(0, fd);
			ASSERT_EQ(0, arm(n));
			err = port_register(fd, nic_name(), &reg);
			failed = met();
			EXPECT_TRUE(failed || n > 1) TH_LOG("nothing beneath %s", functions[i].pattern);
			EXPECT_TRUE(failed ? is_of_failure(err) : !err) TH_LOG("%s, failure %ld: %d", functions[i].pattern, n, err);
			refused |= err == -ENOMEM;
			EXPECT_EQ(0, close(fd));
			EXPECT_AS_BEFORE(n);
			ASSERT_GT(100, n);
		}
		EXPECT_TRUE(refused) TH_LOG("never ENOMEM by %s", functions[i].pattern);
		printf("# failed beneath %s\n", functions[i].pattern);
	}
}

TEST_F_TIMEOUT(failures, of_opening_and_mapping, 300)
{
	bool failed = true;
	long n;

	for (n = 1; failed; n++) {
		struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = SLOTS, .nr_rx_slots = SLOTS };
		void *memory = MAP_FAILED;
		int fd, err = 0;

		ASSERT_EQ(0, arm(n));
		fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			err = -errno;
		failed = met();
		EXPECT_TRUE(is_of_failure(err)) TH_LOG("open, failure %ld: %d", n, err);
		if (fd >= 0) {
			EXPECT_EQ(0, port_register(fd, nic_name(), &reg));
			ASSERT_EQ(0, arm(n));
			memory = mmap(NULL, reg.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
			err = memory == MAP_FAILED ? -errno : 0;
			failed |= met();
			EXPECT_TRUE(is_of_failure(err)) TH_LOG("mmap, failure %ld: %d", n, err);
			if (memory != MAP_FAILED)
				munmap(memory, reg.nr_memsize);
			close(fd);
		}
		EXPECT_AS_BEFORE(n);
		ASSERT_GT(2000, n);
	}
	EXPECT_EQ(self->carrier, carrier_changes(nic_name()));
}

/* A pipe on nothing, for which a region is made; the other end of one that is there; an end on the NIC; a null port; a port of a switch. */
TEST_F_TIMEOUT(failures, of_ports_without_a_device, 1200)
{
	struct port master = { .reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = SLOTS, .nr_rx_slots = SLOTS } };
	char on_nic[IFNAMSIZ + 2];
	const struct {
		const char *name;
		uint32_t mode;
		uint16_t mem_id;
	} ports[] = {
		{ "nmfail{1", NR_REG_ALL_NIC, 0 },
		{ "nmfail}2", NR_REG_ALL_NIC, 0 },
		{ on_nic, NR_REG_ALL_NIC, 0 },
		{ "any", NR_REG_NULL, 1 },
		{ "vale90:x", NR_REG_ALL_NIC, 0 },
	};
	long n, total = 0;
	size_t i;

	snprintf(on_nic, sizeof(on_nic), "%s{1", nic_name());
	ASSERT_EQ(0, last(false));
	for (i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		bool failed = true, is_other = strchr(ports[i].name, '2');
		long before;

		if (is_other)
			ASSERT_EQ(0, port_open_as(&master, "nmfail{2"));
		before = pool_used("buffers");
		for (n = 1; failed; n++) {
			struct nmreq_register reg = { .nr_mode = ports[i].mode, .nr_mem_id = ports[i].mem_id, .nr_tx_slots = SLOTS,
						      .nr_rx_slots = SLOTS, .nr_tx_rings = 1, .nr_rx_rings = 1 };
			int err, fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);

			ASSERT_LE(0, fd);
			ASSERT_EQ(0, arm(n));
			err = port_register(fd, ports[i].name, &reg);
			failed = met();
			EXPECT_TRUE(is_of_failure(err)) TH_LOG("%s, failure %ld: %d", ports[i].name, n, err);
			EXPECT_EQ(0, close(fd));
			EXPECT_EQ(before, pool_used("buffers")) TH_LOG("%s, failure %ld", ports[i].name, n);
			add_sites(self->sites);
			ASSERT_GT(2000, n);
		}
		total += n - 2;
		if (is_other)
			EXPECT_EQ(0, port_close(&master));
	}
	TH_LOG("%ld failures", total);
	EXPECT_LT(30, total);
	EXPECT_AS_BEFORE(n);
}

static int control(int fd, uint16_t type, const char *name, void *body)
{
	struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = type, .nr_body = (uintptr_t)body };

	snprintf(header.nr_name, sizeof(header.nr_name), "%s", name);
	return ioctl(fd, NIOCCTRL, &header) ? -errno : 0;
}

/*
 * A request in which one thing fails; true if it did. What the stack cannot allocate for a new device has the errno that
 * register_netdevice() gives it: ENOBUFS where it is of IPv6's sysctls, EINVAL where it is of others.
 */
static bool control_fails(struct __test_metadata *_metadata, int fd, uint16_t type, const char *name, void *body, long n, int *err)
{
	bool failed, is_stacks;

	EXPECT_EQ(0, arm(n));
	*err = control(fd, type, name, body);
	failed = met();
	is_stacks = type == NETMAP_REQ_VALE_NEWIF && (*err == -ENOBUFS || *err == -EINVAL);
	EXPECT_TRUE(is_of_failure(*err) || (failed && is_stacks)) TH_LOG("request %u, failure %ld: %d", type, n, *err);
	return failed;
}

/* An interface and its host are put on a switch, and taken off: the errno is that of the attachment. */
TEST_F_TIMEOUT(failures, of_an_interface_on_a_switch, 1200)
{
	int fd = open("/dev/netmap", O_RDWR | O_CLOEXEC), err;
	struct nmreq_vale_detach detach = { 0 };
	char name[IFNAMSIZ + 8];
	bool failed = true;
	long n;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, last(false));
	snprintf(name, sizeof(name), "vale90:%s", nic_name());
	for (n = 1; failed; n++) {
		struct nmreq_vale_attach attach = { .reg.nr_mode = NR_REG_NIC_SW };

		failed = control_fails(_metadata, fd, NETMAP_REQ_VALE_ATTACH, name, &attach, n, &err);
		if (!err) {
			/* What was attached although an allocation failed carries packets all the same. */
			EXPECT_TRUE(carries(self->near, self->far, self->number));
			self->number += 2;
			EXPECT_EQ(0, control(fd, NETMAP_REQ_VALE_DETACH, name, &detach));
		}
		EXPECT_AS_BEFORE(n);
		ASSERT_GT(2000, n);
	}
	TH_LOG("%ld failures", n - 2);
	EXPECT_LT(20, n);
	close(fd);
}

/* An interface polls, and a persistent port is made: what was refused is not there, whatever of it has failed. */
TEST_F_TIMEOUT(failures, of_polling_and_persistent_ports, 1200)
{
	struct nmreq_vale_attach attach = { .reg.nr_mode = NR_REG_ALL_NIC };
	struct nmreq_vale_detach detach = { 0 };
	int fd = open("/dev/netmap", O_RDWR | O_CLOEXEC), err;
	char name[IFNAMSIZ + 8];
	bool failed = true;
	long n, attached;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, last(false));
	for (n = 1; failed; n++) {
		struct nmreq_vale_newif made = { .nr_tx_slots = SLOTS, .nr_rx_slots = SLOTS };

		failed = control_fails(_metadata, fd, NETMAP_REQ_VALE_NEWIF, "nmfail0", &made, n, &err);
		EXPECT_EQ(!err, if_nametoindex("nmfail0") != 0) TH_LOG("failure %ld: %d", n, err);
		if (!err)
			EXPECT_EQ(0, control(fd, NETMAP_REQ_VALE_DELIF, "nmfail0", NULL));
		EXPECT_EQ(self->buffers, pool_used("buffers")) TH_LOG("after failure %ld", n);
		add_sites(self->sites);
		ASSERT_GT(2000, n);
	}
	EXPECT_LT(10, n);
	snprintf(name, sizeof(name), "vale90:%s", nic_name());
	ASSERT_EQ(0, control(fd, NETMAP_REQ_VALE_ATTACH, name, &attach));
	attached = pool_used("buffers");
	for (failed = true, n = 1; failed; n++) {
		struct nmreq_vale_polling polling = { .nr_mode = NETMAP_POLLING_MODE_MULTI_CPU, .nr_num_polling_cpus = 1 };

		failed = control_fails(_metadata, fd, NETMAP_REQ_VALE_POLLING_ENABLE, name, &polling, n, &err);
		/* Off it can be switched only where it is on. */
		EXPECT_EQ(err ? -EINVAL : 0, control(fd, NETMAP_REQ_VALE_POLLING_DISABLE, name, &polling));
		EXPECT_EQ(attached, pool_used("buffers")) TH_LOG("after failure %ld", n);
		add_sites(self->sites);
		ASSERT_GT(2000, n);
	}
	EXPECT_LT(4, n);
	EXPECT_EQ(0, control(fd, NETMAP_REQ_VALE_DETACH, name, &detach));
	EXPECT_AS_BEFORE(1);
	close(fd);
}

/*
 * The driver's own allocations too: it is restarted, and one of what it needs to open the NIC again fails. Not each of
 * its hundreds of buffers, but every fifth place.
 */
TEST_F_TIMEOUT(failures, of_a_restart, 1200)
{
	bool failed = true;
	char command[128];
	int usual;
	long n;

	/* The driver is left alone. */
	if (is_emulated())
		return;
	snprintf(command, sizeof(command), "ethtool -G %s rx 80 tx 80", nic_name());
	ASSERT_EQ(0, system(command));
	ASSERT_EQ(0, write_to("restart", "%s/%s", "/sys/module/netmap/parameters", "takeover"));
	for (n = 1; failed; n += 5) {
		struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC };
		int err, fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);

		ASSERT_LE(0, fd);
		ASSERT_TRUE(has_carrier(nic_name()));
		ASSERT_EQ(0, arm(n));
		err = port_register(fd, nic_name(), &reg);
		failed = met();
		/* The driver has fewer queues than before: igb without all of its interrupts. */
		EXPECT_TRUE(is_of_failure(err) || err == -EAGAIN) TH_LOG("failure %ld: %d", n, err);
		EXPECT_EQ(0, close(fd));
		EXPECT_TRUE(has_carrier(nic_name()) && has_carrier(peer_name())) TH_LOG("after failure %ld", n);
		EXPECT_AS_BEFORE(n);
		if (lacks_interrupts(self)) {
			ASSERT_TRUE(bind_driver_anew(self));
			ASSERT_EQ(0, system(command));
		}
		ASSERT_GT(2000, n);
	}
	TH_LOG("%ld places", n);
	EXPECT_EQ(0, write_to("hot", "%s/%s", "/sys/module/netmap/parameters", "takeover"));
	/* As it was: the driver's default. */
	usual = strcmp(getenv("TEST_NIC") ?: "", "ixgbe") ? 256 : 512;
	snprintf(command, sizeof(command), "ethtool -G %s rx %d tx %d", nic_name(), usual, usual);
	EXPECT_EQ(0, system(command));
}

/* The driver stops, and cannot open again however often it tries: the bind fails, and the interface is down and not more. */
TEST_F_TIMEOUT(failures, of_every_opening, 300)
{
	struct nmreq_register reg = { .nr_mode = NR_REG_ALL_NIC, .nr_tx_slots = SLOTS, .nr_rx_slots = SLOTS };
	char command[128];
	int fd;

	if (is_emulated())
		return;
	fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, write_to("restart", "%s/%s", "/sys/module/netmap/parameters", "takeover"));
	ASSERT_EQ(0, aim_at_module(getenv("TEST_NIC") ?: ""));
	ASSERT_EQ(0, last(true));
	ASSERT_EQ(0, arm(1));
	EXPECT_EQ(-EIO, port_register(fd, nic_name(), &reg));
	EXPECT_TRUE(met());
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(0, write_to("hot", "%s/%s", "/sys/module/netmap/parameters", "takeover"));
	EXPECT_EQ(self->buffers, pool_used("buffers"));
	snprintf(command, sizeof(command), "ip link show %s | grep -q ',UP'", nic_name());
	EXPECT_NE(0, system(command));
	snprintf(command, sizeof(command), "ip link set %s up", nic_name());
	EXPECT_EQ(0, system(command));
	ASSERT_TRUE(has_carrier(nic_name()) && has_carrier(peer_name()));
	/* It has been told of the end. */
	close(self->near);
	self->near = packet_socket(nic_name(), PROTOCOL, false);
	EXPECT_TRUE(stack_carries(self->near, self->far, LEN, self->number));
	EXPECT_TRUE(!lacks_interrupts(self) || bind_driver_anew(self));
}

/* Infos and legacy requests, as well as the ends of a bound file's life: what fails there must not fail it. */
TEST_F_TIMEOUT(failures, of_requests_and_closing, 1200)
{
	bool failed = true;
	long n;

	for (n = 1; failed; n++) {
		struct nmreq_port_info_get info = { 0 };
		struct nmreq_header header = { .nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_PORT_INFO_GET,
					       .nr_body = (uintptr_t)&info };
		struct nmreq_option option = { .nro_reqtype = 0x7fff };
		struct nmreq legacy = { .nr_version = NETMAP_API, .nr_flags = NR_REG_ALL_NIC,
					.nr_tx_slots = SLOTS, .nr_rx_slots = SLOTS };
		int err, fd = open("/dev/netmap", O_RDWR | O_CLOEXEC);

		ASSERT_LE(0, fd);
		snprintf(header.nr_name, sizeof(header.nr_name), "%s", nic_name());
		snprintf(legacy.nr_name, sizeof(legacy.nr_name), "%s", nic_name());
		ASSERT_EQ(0, arm(n));
		err = ioctl(fd, NIOCCTRL, &header) ? -errno : 0;
		failed = met();
		EXPECT_TRUE(is_of_failure(err)) TH_LOG("port info, failure %ld: %d", n, err);
		/* One option that there is not: its answer is written back. */
		header.nr_options = (uintptr_t)&option;
		ASSERT_EQ(0, arm(n));
		err = ioctl(fd, NIOCCTRL, &header) ? -errno : 0;
		failed |= met();
		EXPECT_TRUE(is_of_failure(err) || err == -EOPNOTSUPP) TH_LOG("option, failure %ld: %d", n, err);
		ASSERT_EQ(0, arm(n));
		err = ioctl(fd, NIOCREGIF, &legacy) ? -errno : 0;
		failed |= met();
		EXPECT_TRUE(is_of_failure(err)) TH_LOG("NIOCREGIF, failure %ld: %d", n, err);
		ASSERT_EQ(0, arm(n));
		EXPECT_EQ(0, close(fd));
		failed |= met();
		EXPECT_AS_BEFORE(n);
		ASSERT_GT(2000, n);
	}
}

/* Sends some frames by one sync, in which one thing fails; true if it did. They arrive all the same, once, and in their order. */
#define SENT 8
static bool sends_all(struct __test_metadata *_metadata, FIXTURE_DATA(failures) *self, long n)
{
	struct port port = { .reg = { .nr_mode = NR_REG_ONE_NIC, .nr_tx_slots = SLOTS, .nr_rx_slots = SLOTS } };
	int64_t end = now_ms() + LIMIT_MS;
	struct netmap_ring *ring;
	bool failed = false;
	uint32_t i;
	int err;

	EXPECT_EQ(0, port_open_as(&port, nic_name()));
	ring = tx_ring(&port, 0);
	for (i = 0; i < SENT; i++)
		EXPECT_EQ(0, put_frame(&port, ring, LEN, i, 0));
	EXPECT_EQ(0, arm(n));
	err = tx_sync(&port);
	failed = met();
	EXPECT_EQ(0, err) TH_LOG("failure %ld", n);
	/* No other sync comes. */
	while (ring_counter(&port, "tx 0", "packets") < SENT && now_ms() < end)
		usleep(1000);
	EXPECT_EQ(SENT, ring_counter(&port, "tx 0", "packets")) TH_LOG("failure %ld", n);
	EXPECT_EQ(0, ring_counter(&port, "tx 0", "errors"));
	for (i = 0; i < SENT; i++)
		EXPECT_TRUE(stack_gets(self->far, LEN, i)) TH_LOG("frame %u, failure %ld", i, n);
	EXPECT_EQ(0, port_close(&port));
	return failed;
}

TEST_F_TIMEOUT(failures, of_sending, 1200)
{
	static const char *const functions[] = { "netmap_tx_alloc", "netmap_tx_page_alloc" };
	bool lasts, pages = !strcmp(getenv("TEST_NIC") ?: "", "veth");
	unsigned long start, end;
	long n, total = 0;
	size_t i;

	if (!is_emulated())
		return;
	for (lasts = false;; lasts = true) {
		bool failed = true;

		ASSERT_EQ(0, last(lasts));
		for (n = 1; failed; n++) {
			failed = sends_all(_metadata, self, n);
			EXPECT_AS_BEFORE(n);
			ASSERT_GT(200, n);
		}
		total += n - 2;
		if (lasts)
			break;
	}
	TH_LOG("%ld failures", total);
	EXPECT_LT(SENT, total);
	/* These ask without a word in the log. */
	for (i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		if (pages == !strcmp(functions[i], "netmap_tx_alloc"))
			continue;
		start = extent_of(functions[i], &end);
		ASSERT_NE(0, start) TH_LOG("%s", functions[i]);
		ASSERT_EQ(0, aim_at(start, end));
		ASSERT_EQ(0, last(true));
		EXPECT_TRUE(sends_all(_metadata, self, 1)) TH_LOG("nothing beneath %s", functions[i]);
		EXPECT_AS_BEFORE(1L);
		printf("# failed beneath %s\n", functions[i]);
	}
}

TEST_HARNESS_MAIN
