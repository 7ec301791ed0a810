// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/pkram, /sys/kernel/pkram and /proc/cmdline within one boot: a file and bytes
 * are stored, are frozen, are found again, and are removed. What a kexec preserves is
 * not tested here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/pkram.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest.h"

#define NAME		"selftest.pkram"
#define OTHER_NAME	"selftest.pkram.other"
#define PAGES		16
#define SYSFS		"/sys/kernel/pkram"
#define COUNTER		"/sys/kernel/mm/pkram/nodes"

static size_t page_size;

static int call(int dev, unsigned long cmd, void *arg)
{
	return ioctl(dev, cmd, arg) ? -errno : 0;
}

static int open_device(void)
{
	return open(PKRAM_DEVICE, O_RDWR | O_CLOEXEC);
}

static int name_call(int dev, unsigned long cmd, const char *name)
{
	struct pkram_ioctl_name n = { .size = sizeof(n) };

	snprintf(n.name, sizeof(n.name), "%s", name);
	return call(dev, cmd, &n);
}

static void fill(char *page, unsigned int index)
{
	memset(page, 'a' + index, page_size);
}

/* A memfd whose pages with an odd index are holes. */
static int new_file(void)
{
	char *page = malloc(page_size);
	int fd = memfd_create("pkram_test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	unsigned int i;

	if (!page || fd < 0 || ftruncate(fd, PAGES * page_size))
		ksft_exit_fail_perror("memfd");
	for (i = 0; i < PAGES; i += 2) {
		fill(page, i);
		if (pwrite(fd, page, page_size, i * page_size) != (ssize_t)page_size)
			ksft_exit_fail_perror("pwrite");
	}
	free(page);
	return fd;
}

static bool same_file(int fd)
{
	char *page = malloc(page_size), *want = malloc(page_size);
	bool same = page && want;
	unsigned int i;

	for (i = 0; same && i < PAGES; i++) {
		if (i % 2)
			memset(want, 0, page_size);
		else
			fill(want, i);
		same = pread(fd, page, page_size, i * page_size) == (ssize_t)page_size &&
		       !memcmp(page, want, page_size);
	}
	free(page);
	free(want);
	return same;
}

static int save(int dev, const char *name, int fd)
{
	struct pkram_ioctl_save_file file = { .size = sizeof(file), .fd = fd };
	struct pkram_ioctl_commit commit = { .size = sizeof(commit) };
	int err;

	err = name_call(dev, PKRAM_IOC_SAVE_BEGIN, name);
	if (!err)
		err = call(dev, PKRAM_IOC_SAVE_FILE, &file);
	if (!err)
		err = call(dev, PKRAM_IOC_SAVE_COMMIT, &commit);
	return err;
}

static unsigned long long read_number(const char *path, int base)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		ksft_exit_fail_perror(path);
	close(fd);
	return strtoull(text, NULL, base);
}

static void test_frozen(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	ksft_test_result(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM, "writing is refused\n");
	ksft_test_result(ftruncate(fd, 0) < 0 && errno == EPERM, "resizing is refused\n");
	ksft_test_result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				   page_size) < 0 && errno == EPERM,
			 "punching holes is refused\n");
	ksft_test_result(mmap(NULL, page_size, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED,
			 "writable mappings are refused\n");
	ksft_test_result(seals == 0, "file seals do not change\n");
	ksft_test_result(same_file(fd), "the file can be read\n");
}

static void test_load(int dev)
{
	struct pkram_ioctl_load_file file = {
		.size = sizeof(file), .target_fd = PKRAM_FD_NONE, .charge_pidfd = PKRAM_FD_NONE,
	};
	struct pkram_ioctl_simple end = { .size = sizeof(end) };
	int err;

	ksft_test_result(!name_call(dev, PKRAM_IOC_LOAD_BEGIN, NAME), "load begins\n");
	err = call(dev, PKRAM_IOC_LOAD_FILE, &file);
	ksft_test_result(!err && same_file(file.fd), "the stored file has the same contents\n");
	if (!err)
		close(file.fd);
	ksft_test_result(!call(dev, PKRAM_IOC_LOAD_END, &end), "load ends\n");
}

/* struct pkram_node_info as it was first published. Programs that know no more still work. */
#define FIRST_SIZE	328

static int list(int dev, void *nodes, unsigned int node_size, unsigned int *returned)
{
	struct pkram_ioctl_list l = {
		.size = sizeof(l), .nodes = (uintptr_t)nodes, .capacity = 4096,
		.node_size = node_size,
	};
	int err = call(dev, PKRAM_IOC_LIST, &l);

	*returned = l.returned;
	return err;
}

/*
 * List nodes as a program does that knows @node_size bytes of each. Both of ours are there,
 * what the kernel does not know is zero, and nothing is written behind the last one.
 */
static bool list_good(int dev, unsigned int node_size)
{
	const size_t size = 4096UL * node_size;
	unsigned char *nodes = malloc(size);
	unsigned int i, k, nr, ours = 0;
	bool good;

	if (!nodes)
		ksft_exit_fail_perror("malloc");
	memset(nodes, 0x5a, size);
	good = !list(dev, nodes, node_size, &nr) && nr >= 2 && nr < 4096;
	for (i = 0; good && i < nr; i++) {
		unsigned char *at = nodes + i * node_size;
		struct pkram_node_info info = { };

		memcpy(&info, at, FIRST_SIZE);
		ours += !strcmp(info.name, NAME) && info.data_pages == PAGES / 2;
		ours += !strcmp(info.name, OTHER_NAME) && info.data_pages == PAGES / 2;
		for (k = sizeof(info); k < node_size; k++)
			good = good && !at[k];
	}
	for (i = 0; good && i < node_size; i++)
		good = nodes[nr * node_size + i] == 0x5a;
	free(nodes);
	return good && ours == 2;
}

static void test_list(int dev)
{
	int fd = new_file(), err = save(dev, OTHER_NAME, fd);
	unsigned int nr;
	char c;

	ksft_test_result(!err && list_good(dev, sizeof(struct pkram_node_info)),
			 "nodes are listed\n");
	ksft_test_result(!err && list_good(dev, FIRST_SIZE),
			 "nodes are listed for programs that know less of them\n");
	ksft_test_result(!err && list_good(dev, FIRST_SIZE + 8) &&
			 list_good(dev, sizeof(struct pkram_node_info) + 1000),
			 "nodes are listed for programs that know more of them\n");
	ksft_test_result(list(dev, &c, FIRST_SIZE - 1, &nr) == -EINVAL &&
			 list(dev, &c, page_size + 1, &nr) == -EINVAL,
			 "other sizes are refused\n");
	name_call(dev, PKRAM_IOC_REMOVE, OTHER_NAME);
	close(fd);
}

/* In a child without CAP_SYS_ADMIN: exit status 0 if all of it is refused. */
static void run_uncapable(int dev)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { };
	struct pkram_ioctl_info info = { .size = sizeof(info) };
	char c = '0';
	int fd;

	if (syscall(SYS_capget, &header, data))
		_exit(10);
	data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	data[0].permitted &= ~(1U << CAP_SYS_ADMIN);
	if (syscall(SYS_capset, &header, data))
		_exit(11);
	if (call(dev, PKRAM_IOC_INFO, &info) != -EPERM)
		_exit(12);
	fd = open(SYSFS, O_RDWR);
	if (fd >= 0 && (read(fd, &c, 1) >= 0 || errno != EPERM))
		_exit(13);
	if (fd >= 0 && (pwrite(fd, "0", 1, 0) >= 0 || errno != EPERM))
		_exit(14);
	_exit(0);
}

static void test_uncapable(int dev)
{
	pid_t pid = fork();
	int status = -1;

	if (pid < 0)
		ksft_exit_fail_perror("fork");
	if (!pid)
		run_uncapable(dev);
	waitpid(pid, &status, 0);
	ksft_test_result(WIFEXITED(status) && !WEXITSTATUS(status),
			 "nothing is permitted without CAP_SYS_ADMIN (%d)\n", status);
}

/* The super block's pfn is not for all users, and the size is that of the text. */
static void test_cmdline(void)
{
	char text[8192], word[32];
	struct stat st;
	ssize_t len;
	int fd;

	fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		ksft_exit_fail_perror("/proc/cmdline");
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len < 0)
		ksft_exit_fail_perror("/proc/cmdline");
	text[len] = '\0';
	snprintf(word, sizeof(word), "pkram=0x%016llx", read_number(SYSFS, 16));
	ksft_test_result(!strstr(text, word), "/proc/cmdline does not show the super block\n");
	ksft_test_result(st.st_size == len, "/proc/cmdline has the size of its contents\n");
}

int main(void)
{
	unsigned long long before;
	int dev, fd;

	ksft_print_header();
	dev = open_device();
	if (dev < 0)
		ksft_exit_skip("%s: %s\n", PKRAM_DEVICE, strerror(errno));
	ksft_set_plan(20);
	page_size = sysconf(_SC_PAGESIZE);
	before = read_number(COUNTER, 10);

	fd = new_file();
	ksft_test_result(!save(dev, NAME, fd), "a memfd is stored\n");
	ksft_test_result(read_number(COUNTER, 10) == before + 1, "it is counted\n");
	test_frozen(fd);
	test_load(dev);
	test_list(dev);
	test_uncapable(dev);
	ksft_test_result(!name_call(dev, PKRAM_IOC_REMOVE, NAME), "it is removed\n");
	ksft_test_result(pwrite(fd, "a", 1, 0) == 1, "the file is thawed\n");
	test_cmdline();
	close(fd);
	close(dev);
	ksft_finished();
}
