/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/pkram: memory that survives kexec, as seen from user space.
 *
 * The device is a plain character device, mode 0600. Every call additionally
 * needs CAP_SYS_ADMIN in the initial user namespace. An open descriptor is in
 * one of four states:
 *
 *   idle     after open(), after a commit, an abort or an unload;
 *   saving   from PKRAM_IOC_SAVE_BEGIN to PKRAM_IOC_SAVE_COMMIT or _ABORT:
 *            it owns one node that is not visible to others yet;
 *   helping  from PKRAM_IOC_SAVE_JOIN to PKRAM_IOC_SAVE_ABORT or close(): it
 *            adds ranges to the node that another descriptor is saving;
 *   loading  from PKRAM_IOC_LOAD_BEGIN to PKRAM_IOC_LOAD_END: it pins one
 *            committed node, which cannot be removed by others meanwhile.
 *
 * Closing a descriptor that is saving discards the half-done node and leaves
 * no page behind. Closing one that is loading leaves the node as it was.
 *
 * Every argument is a struct that begins with its own size in bytes. A kernel
 * takes larger structs whose unknown tail is zero (E2BIG otherwise) and smaller
 * ones down to the first published size (EINVAL below that). Reserved fields
 * and unknown flags must be zero, else EINVAL. Calls on a descriptor in the
 * wrong state fail with EBADFD. Without PKRAM (disabled at boot, memory
 * encryption active, kdump kernel) every call but PKRAM_IOC_INFO fails with
 * ENODEV.
 */
#ifndef _UAPI_LINUX_PKRAM_H
#define _UAPI_LINUX_PKRAM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PKRAM_DEVICE		"/dev/pkram"

/** PKRAM_UAPI_VERSION - version of this interface, grows with every addition */
#define PKRAM_UAPI_VERSION	1

/** PKRAM_NODE_NAME_MAX - longest node name in bytes, without the NUL */
#define PKRAM_NODE_NAME_MAX	255

/** PKRAM_MAX_OBJECTS - most objects one node can hold */
#define PKRAM_MAX_OBJECTS	65536

#define PKRAM_IOC_MAGIC		0xBC

enum {
	PKRAM_CMD_INFO		= 0x00,
	PKRAM_CMD_LIST		= 0x01,
	PKRAM_CMD_SAVE_BEGIN	= 0x10,
	PKRAM_CMD_SAVE_FILE	= 0x11,
	PKRAM_CMD_SAVE_BYTES	= 0x12,
	PKRAM_CMD_SAVE_COMMIT	= 0x13,
	PKRAM_CMD_SAVE_ABORT	= 0x14,
	PKRAM_CMD_SAVE_JOIN	= 0x15,
	PKRAM_CMD_LOAD_BEGIN	= 0x20,
	PKRAM_CMD_LOAD_STAT	= 0x21,
	PKRAM_CMD_LOAD_FILE	= 0x22,
	PKRAM_CMD_LOAD_BYTES	= 0x23,
	PKRAM_CMD_LOAD_END	= 0x24,
	PKRAM_CMD_REMOVE	= 0x30,
};

/**
 * enum pkram_boot_result - what this kernel found when it started
 * @PKRAM_BOOT_NONE:     no ``pkram=`` on the command line
 * @PKRAM_BOOT_RESTORED: a sealed super block was adopted, and no node was dropped so far
 * @PKRAM_BOOT_PARTIAL:  adopted, but at least one damaged node was dropped
 * @PKRAM_BOOT_NOTHING:  ``pkram=`` points at memory that holds no super block
 * @PKRAM_BOOT_STALE:    a super block is there but was not sealed for this
 *                       boot (crash, kernel without PKRAM in between, reused
 *                       command line)
 * @PKRAM_BOOT_DAMAGED:  the super block or the block map failed its checks
 * @PKRAM_BOOT_VERSION:  written in a format this kernel does not read
 * @PKRAM_BOOT_OFF:      PKRAM is off in this kernel: kdump, memory encryption
 */
enum pkram_boot_result {
	PKRAM_BOOT_NONE		= 0,
	PKRAM_BOOT_RESTORED	= 1,
	PKRAM_BOOT_PARTIAL	= 2,
	PKRAM_BOOT_NOTHING	= 3,
	PKRAM_BOOT_STALE	= 4,
	PKRAM_BOOT_DAMAGED	= 5,
	PKRAM_BOOT_VERSION	= 6,
	PKRAM_BOOT_OFF		= 7,
};

/**
 * enum pkram_image_state - what the kexec image loaded now would do
 * @PKRAM_IMAGE_NONE:   no image is loaded
 * @PKRAM_IMAGE_KEEPS:  the image has PKRAM of a format this kernel writes and
 *                      the right ``pkram=`` on its command line
 * @PKRAM_IMAGE_NO_SUPPORT: the image's kernel has no PKRAM, or was loaded with
 *                        less room than it takes to unpack itself
 * @PKRAM_IMAGE_NO_PARAM: the image has PKRAM but its command line lacks the
 *                      right ``pkram=``
 * @PKRAM_IMAGE_VERSION: the image reads another format version only
 */
enum pkram_image_state {
	PKRAM_IMAGE_NONE	= 0,
	PKRAM_IMAGE_KEEPS	= 1,
	PKRAM_IMAGE_NO_SUPPORT	= 2,
	PKRAM_IMAGE_NO_PARAM	= 3,
	PKRAM_IMAGE_VERSION	= 4,
};

/*
 * Bytes of an image's cmdline_size that a caller of kexec_file_load() on x86 leaves
 * free for the word that the kernel puts in front: pkram= or elfcorehdr=. The NUL
 * takes one more.
 */
#define PKRAM_CMDLINE_ROOM	30

/**
 * enum pkram_damage - why a node was dropped
 * @PKRAM_DAMAGE_NONE:     it was not
 * @PKRAM_DAMAGE_HEADER:   magic, type, version, chain or own pfn of a page wrong
 * @PKRAM_DAMAGE_CHECKSUM: checksum of a metadata page wrong
 * @PKRAM_DAMAGE_BOUNDS:   a field is out of its range
 * @PKRAM_DAMAGE_RANGE:    a page lies outside the preserved blocks or RAM
 * @PKRAM_DAMAGE_TWICE:    a page is claimed twice, or the chain has a cycle
 * @PKRAM_DAMAGE_COUNT:    totals do not add up
 * @PKRAM_DAMAGE_NAME:     the name is invalid or taken by an earlier node
 * @PKRAM_DAMAGE_BUSY:     a page is used by firmware or the boot loader
 * @PKRAM_DAMAGE_FEATURE:  it needs a feature that this kernel does not have
 */
enum pkram_damage {
	PKRAM_DAMAGE_NONE	= 0,
	PKRAM_DAMAGE_HEADER	= 1,
	PKRAM_DAMAGE_CHECKSUM	= 2,
	PKRAM_DAMAGE_BOUNDS	= 3,
	PKRAM_DAMAGE_RANGE	= 4,
	PKRAM_DAMAGE_TWICE	= 5,
	PKRAM_DAMAGE_COUNT	= 6,
	PKRAM_DAMAGE_NAME	= 7,
	PKRAM_DAMAGE_BUSY	= 8,
	PKRAM_DAMAGE_FEATURE	= 9,
};

/**
 * struct pkram_ioctl_info - state of the whole store (PKRAM_IOC_INFO)
 * @size:           in: sizeof(struct pkram_ioctl_info)
 * @flags:          in: must be 0
 * @uapi_version:   out: PKRAM_UAPI_VERSION of the running kernel
 * @format_version: out: version of the on-memory format it writes
 * @boot_result:    out: enum pkram_boot_result
 * @image_state:    out: enum pkram_image_state
 * @super_pfn:      out: page frame number of the super block, 0 if there is none
 * @generation:     out: kexecs this super block has survived
 * @nr_nodes:       out: committed nodes
 * @data_pages:     out: pages of 4096 bytes that hold what clients stored
 * @meta_pages:     out: pages that describe it, super block and map included
 * @nr_dropped:     out: inherited nodes that were dropped at this boot so far
 * @sealed_ns:      out: CLOCK_REALTIME ns at which the previous kernel sealed,
 *                  0 unless @boot_result is _RESTORED or _PARTIAL
 * @restored_ns:    out: ns of processor time that PKRAM took in early boot, and for
 *                  adopting nodes so far
 * @prev_release:   out: release string of the kernel that sealed, NUL-terminated,
 *                  sanitised to printable ASCII
 */
struct pkram_ioctl_info {
	__u32 size;
	__u32 flags;
	__u32 uapi_version;
	__u32 format_version;
	__u32 boot_result;
	__u32 image_state;
	__aligned_u64 super_pfn;
	__aligned_u64 generation;
	__aligned_u64 nr_nodes;
	__aligned_u64 data_pages;
	__aligned_u64 meta_pages;
	__aligned_u64 nr_dropped;
	__aligned_u64 sealed_ns;
	__aligned_u64 restored_ns;
	char prev_release[64];
};

/** PKRAM_NODE_INHERITED - came from an earlier kernel */
#define PKRAM_NODE_INHERITED	(1U << 0)
/** PKRAM_NODE_BUSY - a descriptor is loading it now; removing fails with EBUSY */
#define PKRAM_NODE_BUSY		(1U << 1)
/** PKRAM_NODE_LOADED - at least one of its files exists in this system, frozen */
#define PKRAM_NODE_LOADED	(1U << 2)
/** PKRAM_NODE_UNCHECKED - came from an earlier kernel, and was not checked so far */
#define PKRAM_NODE_UNCHECKED	(1U << 3)

/**
 * struct pkram_node_info - one node in a listing
 * @id:         unique while the system runs, never 0, grows with commit order
 * @generation: kexecs this node has survived
 * @data_pages: pages of 4096 bytes of page streams and byte streams
 * @meta_pages: pages that describe them
 * @file_bytes: sum of the sizes of its file objects, holes included
 * @data_bytes: sum of the lengths of its byte streams
 * @stored_ns:  CLOCK_REALTIME ns of the commit
 * @nr_objects: objects in it
 * @flags:      PKRAM_NODE_*
 * @damage:     enum pkram_damage; nonzero only in a PKRAM_LIST_DROPPED listing
 * @reserved:   0
 * @name:       NUL-terminated; in a listing of dropped nodes what could be read
 *              of it, possibly empty
 */
struct pkram_node_info {
	__aligned_u64 id;
	__aligned_u64 generation;
	__aligned_u64 data_pages;
	__aligned_u64 meta_pages;
	__aligned_u64 file_bytes;
	__aligned_u64 data_bytes;
	__aligned_u64 stored_ns;
	__u32 nr_objects;
	__u32 flags;
	__u32 damage;
	__u32 reserved;
	char name[PKRAM_NODE_NAME_MAX + 1];
};

/**
 * PKRAM_LIST_DROPPED - list the inherited nodes that were dropped at boot
 *
 * Waits until all inherited nodes are checked. Without it the list is returned at once, and
 * a node with PKRAM_NODE_UNCHECKED in it may still turn out to be damaged and go away.
 */
#define PKRAM_LIST_DROPPED	(1U << 0)

/**
 * struct pkram_ioctl_list - list nodes in ascending id order (PKRAM_IOC_LIST)
 * @size:     in: sizeof(struct pkram_ioctl_list)
 * @flags:    in: 0 or PKRAM_LIST_DROPPED
 * @cursor:   in: ids greater than this are returned; 0 for the first call
 *            out: id of the last node returned, @cursor itself if none was
 * @nodes:    in: user address of an array of struct pkram_node_info
 * @capacity: in: elements in that array, 1 to 4096
 * @returned: out: elements filled; fewer than @capacity means the end
 * @node_size: in: sizeof(struct pkram_node_info) as the caller knows it; longer
 *            kernel structs are cut to it, shorter ones zero-filled
 * @reserved: must be 0
 */
struct pkram_ioctl_list {
	__u32 size;
	__u32 flags;
	__aligned_u64 cursor;
	__aligned_u64 nodes;
	__u32 capacity;
	__u32 returned;
	__u32 node_size;
	__u32 reserved;
};

/**
 * struct pkram_ioctl_name - a call that names a node
 * @size:  in: sizeof(struct pkram_ioctl_name)
 * @flags: in: must be 0
 * @id:    out: id of the node (0 from PKRAM_IOC_SAVE_BEGIN, it has none yet)
 * @name:  in: 1 to 255 bytes, NUL-terminated; no '/', no byte below 0x20, no
 *         0x7f, neither "." nor ".." (EINVAL); no NUL in 256 bytes: ENAMETOOLONG
 *
 * PKRAM_IOC_SAVE_BEGIN: start a node on an idle descriptor. EEXIST is checked
 * at commit too, since the name is not reserved until then. The caller may
 * commit over an existing name with PKRAM_COMMIT_REPLACE, therefore an existing
 * name is not refused here.
 * PKRAM_IOC_LOAD_BEGIN: pin a committed node. ENOENT. Several descriptors may
 * load one node. A node of an earlier kernel that was not checked so far is checked
 * before, and no other (EINTR if a fatal signal arrives).
 * PKRAM_IOC_REMOVE: free a node and all it holds. ENOENT, EBUSY while another
 * descriptor is loading it; a descriptor that is itself loading it ends that
 * load and becomes idle. Files that were saved into it or loaded from it live
 * on as ordinary files: they are thawed, with the seals they had when stored.
 */
struct pkram_ioctl_name {
	__u32 size;
	__u32 flags;
	__aligned_u64 id;
	char name[PKRAM_NODE_NAME_MAX + 1];
};

/** PKRAM_SAVE_RANGE - @offset and @length select a part; see below */
#define PKRAM_SAVE_RANGE	(1U << 0)

/**
 * struct pkram_ioctl_save_file - save a shmem file (PKRAM_IOC_SAVE_FILE)
 * @size:   in: sizeof(struct pkram_ioctl_save_file)
 * @flags:  in: 0 or PKRAM_SAVE_RANGE
 * @fd:     in: memfd or tmpfs regular file, open for reading (EBADF)
 * @object: without PKRAM_SAVE_RANGE out: index of the new object in the node.
 *          With it in: PKRAM_OBJECT_NEW creates the object and freezes the
 *          file (out: its index), an index adds a further range of the same
 *          file to that object.
 * @offset: in: first byte of the range, multiple of 2 MiB; 0 without _RANGE
 * @length: in: bytes in the range, multiple of 2 MiB, or 0 for up to the end
 * @pages:  out: pages of 4096 bytes recorded by this call
 *
 * Freezes the file: from here until the node is discarded or removed, writing,
 * resizing, fallocate(), F_ADD_SEALS and new writable shared mappings fail with
 * EPERM on every descriptor. F_GET_SEALS does not change.
 *
 * Records the pages of the file in place, or copies of those that lie where a
 * loaded kexec image goes. Where the pages are spread over so many blocks of
 * 2 MiB that too little memory would be left, they are moved together first, which
 * takes longer. Nothing is copied otherwise. Holes stay
 * holes, swapped pages are read back, allocated but never written pages are
 * kept as zeroes. Size, mode, owner, times and seals are kept with it.
 *
 * Errors: EBADF; EINVAL not a regular shmem file, bad range; EBUSY it is mapped
 * shared-writable, pinned for DMA, or saved already; EHWPOISON a page is
 * poisoned; EFBIG more than PKRAM_MAX_OBJECTS; ENOMEM; ENOSPC the next kernel
 * would not have enough memory left to boot; EINTR a fatal signal arrived;
 * ECANCELED the saving descriptor aborted the node during the call.
 *
 * On error the node is as it was before the call, and the file is thawed if this
 * call froze it: the range can be tried again. The exception is a call with
 * PKRAM_OBJECT_NEW that fails after another thread added a later object: then
 * the node can only be aborted, and further calls fail with EBADFD.
 *
 * Ranges of one file may be saved by several descriptors at the same time, once
 * they joined the saving one with PKRAM_IOC_SAVE_JOIN. Ranges must not overlap
 * (EINVAL at commit) and what no range covered is a hole.
 */
struct pkram_ioctl_save_file {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 object;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 pages;
};

/** PKRAM_OBJECT_NEW - "make a new object" where an object index is taken */
#define PKRAM_OBJECT_NEW	(~0U)

/**
 * struct pkram_ioctl_bytes - copy bytes into or out of a byte stream
 * @size:   in: sizeof(struct pkram_ioctl_bytes)
 * @flags:  in: must be 0
 * @object: object index. PKRAM_IOC_SAVE_BYTES takes PKRAM_OBJECT_NEW (out: the
 *          new index) or the index of the newest object (EINVAL for others)
 * @reserved: must be 0
 * @offset: LOAD in: byte position; reading at or after the end returns 0 bytes.
 *          SAVE must be 0: bytes are appended
 * @data:   in: user address of the buffer (EFAULT)
 * @length: in: bytes wanted, up to 1 GiB a call (EINVAL); LOAD out: bytes copied
 *
 * SAVE errors: ENOMEM, ENOSPC, EFBIG, EFAULT, EINTR. After any of them the node
 * can only be aborted: further calls for it fail with EBADFD.
 * LOAD errors: ENODATA, EINVAL, EFAULT, EHWPOISON (a memory error hit the object
 * after it was stored).
 */
struct pkram_ioctl_bytes {
	__u32 size;
	__u32 flags;
	__u32 object;
	__u32 reserved;
	__aligned_u64 offset;
	__aligned_u64 data;
	__aligned_u64 length;
};

/** PKRAM_COMMIT_REPLACE - take the place of a node of the same name, in one step */
#define PKRAM_COMMIT_REPLACE	(1U << 0)

/**
 * struct pkram_ioctl_commit - make the node permanent (PKRAM_IOC_SAVE_COMMIT)
 * @size:  in: sizeof(struct pkram_ioctl_commit)
 * @flags: in: 0 or PKRAM_COMMIT_REPLACE
 * @id:    out: id of the committed node
 *
 * Once this returns 0 the node is there after the next kexec. Errors: EEXIST
 * the name is taken (and the flag not given); EBUSY the node to be replaced is
 * being loaded; ENOMEM; EINVAL ranges overlap. On error the descriptor stays
 * in the saving state: commit again or abort.
 */
struct pkram_ioctl_commit {
	__u32 size;
	__u32 flags;
	__aligned_u64 id;
};

/**
 * struct pkram_ioctl_simple - a call without further arguments
 * @size:  in: sizeof(struct pkram_ioctl_simple)
 * @flags: in: must be 0
 * @fd:    in: PKRAM_IOC_SAVE_JOIN: the /dev/pkram descriptor that is saving;
 *         this one, idle before, becomes a helper that may call
 *         PKRAM_IOC_SAVE_FILE on existing objects with PKRAM_SAVE_RANGE, and
 *         nothing else, until it is closed or aborts. The commit fails with
 *         EBUSY while a helper's call runs. 0 for the other calls.
 * @reserved: must be 0
 */
struct pkram_ioctl_simple {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 reserved;
};

/** PKRAM_STAT_FILE - the object has file attributes and a page stream */
#define PKRAM_STAT_FILE		(1U << 0)
/** PKRAM_STAT_BYTES - the object has a byte stream */
#define PKRAM_STAT_BYTES	(1U << 1)
/** PKRAM_STAT_LOADED - its file exists in this system, frozen */
#define PKRAM_STAT_LOADED	(1U << 2)
/** PKRAM_STAT_POISONED - the hardware lost a part of it; it cannot be loaded */
#define PKRAM_STAT_POISONED	(1U << 3)

/**
 * struct pkram_ioctl_stat - describe an object (PKRAM_IOC_LOAD_STAT)
 * @size:       in: sizeof(struct pkram_ioctl_stat)
 * @flags:      in: must be 0
 * @object:     in: object index (ENODATA at or past the last)
 * @state:      out: PKRAM_STAT_*
 * @pages:      out: pages of 4096 bytes in the page stream
 * @file_bytes: out: file size, holes included
 * @data_bytes: out: length of the byte stream
 * @mode:       out: file mode (S_IFREG included), 0 without PKRAM_STAT_FILE
 * @uid:        out: owner in the initial user namespace
 * @gid:        out: group in the initial user namespace
 * @seals:      out: F_SEAL_* the file had when it was stored
 * @atime_ns:   out: CLOCK_REALTIME ns of last access
 * @mtime_ns:   out: of last modification
 * @ctime_ns:   out: of last status change
 */
struct pkram_ioctl_stat {
	__u32 size;
	__u32 flags;
	__u32 object;
	__u32 state;
	__aligned_u64 pages;
	__aligned_u64 file_bytes;
	__aligned_u64 data_bytes;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 seals;
	__s64 atime_ns;
	__s64 mtime_ns;
	__s64 ctime_ns;
};

/** PKRAM_FD_NONE - "no descriptor" where one may be given */
#define PKRAM_FD_NONE		(-1)

/**
 * struct pkram_ioctl_load_file - get an object as a file (PKRAM_IOC_LOAD_FILE)
 * @size:      in: sizeof(struct pkram_ioctl_load_file)
 * @flags:     in: must be 0
 * @object:    in: object index (ENODATA at or past the last; EINVAL if it has
 *             no page stream)
 * @target_fd: in: an empty regular shmem file, open for writing, that takes the
 *             pages, or PKRAM_FD_NONE for a new memfd
 * @fd:        out: a new O_CLOEXEC read-write descriptor of the memfd, or
 *             PKRAM_FD_NONE with @target_fd
 * @charge_pidfd: in: pidfd of the process whose memory cgroup is charged, or
 *             PKRAM_FD_NONE for the caller's
 *
 * No byte is copied. The file stays frozen until the node is removed, so that
 * what was stored cannot change while it may still have to be loaded again.
 * A second load of an object that exists as a memfd (loaded before, or saved in
 * this boot) opens that same file again, for reading only if its file system is
 * read-only. With @target_fd it fails with EBUSY then.
 * Descriptors that load different objects do not wait for each other; one that
 * comes for an object while another loads it waits and gets the same file.
 *
 * F_GET_SEALS of the file shows the seals that were stored, in addition to those
 * that @target_fd had.
 *
 * Errors: EBADF, EINVAL, ENODATA, ENOMEM (also if the memory cgroup that is charged
 * has not enough room left; the OOM killer is not invoked), ENOSPC (the target's
 * tmpfs is full), EFBIG, EINTR (a fatal signal arrived), EHWPOISON (a memory error hit
 * the object after it was stored: it cannot be loaded; the other objects can).
 * On other errors the object can be loaded again, and @target_fd is as it was.
 */
struct pkram_ioctl_load_file {
	__u32 size;
	__u32 flags;
	__u32 object;
	__s32 target_fd;
	__s32 fd;
	__s32 charge_pidfd;
};

#define PKRAM_IO(cmd)		_IO(PKRAM_IOC_MAGIC, cmd)

#define PKRAM_IOC_INFO		PKRAM_IO(PKRAM_CMD_INFO)	 /* pkram_ioctl_info */
#define PKRAM_IOC_LIST		PKRAM_IO(PKRAM_CMD_LIST)	 /* pkram_ioctl_list */
#define PKRAM_IOC_SAVE_BEGIN	PKRAM_IO(PKRAM_CMD_SAVE_BEGIN)	 /* pkram_ioctl_name */
#define PKRAM_IOC_SAVE_FILE	PKRAM_IO(PKRAM_CMD_SAVE_FILE)	 /* pkram_ioctl_save_file */
#define PKRAM_IOC_SAVE_BYTES	PKRAM_IO(PKRAM_CMD_SAVE_BYTES)	 /* pkram_ioctl_bytes */
#define PKRAM_IOC_SAVE_COMMIT	PKRAM_IO(PKRAM_CMD_SAVE_COMMIT)	 /* pkram_ioctl_commit */
#define PKRAM_IOC_SAVE_ABORT	PKRAM_IO(PKRAM_CMD_SAVE_ABORT)	 /* pkram_ioctl_simple */
#define PKRAM_IOC_SAVE_JOIN	PKRAM_IO(PKRAM_CMD_SAVE_JOIN)	 /* pkram_ioctl_simple */
#define PKRAM_IOC_LOAD_BEGIN	PKRAM_IO(PKRAM_CMD_LOAD_BEGIN)	 /* pkram_ioctl_name */
#define PKRAM_IOC_LOAD_STAT	PKRAM_IO(PKRAM_CMD_LOAD_STAT)	 /* pkram_ioctl_stat */
#define PKRAM_IOC_LOAD_FILE	PKRAM_IO(PKRAM_CMD_LOAD_FILE)	 /* pkram_ioctl_load_file */
#define PKRAM_IOC_LOAD_BYTES	PKRAM_IO(PKRAM_CMD_LOAD_BYTES)	 /* pkram_ioctl_bytes */
#define PKRAM_IOC_LOAD_END	PKRAM_IO(PKRAM_CMD_LOAD_END)	 /* pkram_ioctl_simple */
#define PKRAM_IOC_REMOVE	PKRAM_IO(PKRAM_CMD_REMOVE)	 /* pkram_ioctl_name */

#endif /* _UAPI_LINUX_PKRAM_H */
