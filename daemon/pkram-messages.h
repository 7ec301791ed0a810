/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MESSAGE_IDs of journal entries. Each has an entry in the catalog, units/pkram.catalog. */
#pragma once

/* A node was stored. */
#define PKRAM_MESSAGE_STORED_STR "9a4c4d2b5f1e4c0c8f7d3a6e1b205d71"
/* Everything stored was made final for the next kernel. */
#define PKRAM_MESSAGE_SEALED_STR "3f0b7f5de26a4a0d9c1d74be5c6a9e12"
/* A node of the previous kernel was restored. */
#define PKRAM_MESSAGE_RESTORED_STR "5d8e1f0a7c934b7b8a42e6d90c3f1b86"
/* A node, or everything, from the previous kernel was dropped because it was damaged. */
#define PKRAM_MESSAGE_DROPPED_STR "c1a7e3942f5b4e68b0d95c7f2a8e4613"
/* A kexec was refused because it would lose nodes. */
#define PKRAM_MESSAGE_REFUSED_STR "e07b95c3d1484f2fa6c83b5e9d2f7a04"
/* A node will be lost because the system shuts down without kexec. */
#define PKRAM_MESSAGE_LOST_STR "7b2d6c8e0f914a35b9e4d1c7a3f58206"
/* A node was written to disk because the system shuts down without a kexec that preserves it. */
#define PKRAM_MESSAGE_PERSISTED_STR "f0351152de7faaa2867aecb6db0f2d6f"
/* A line of the old system's log, from after its journald stopped. */
#define PKRAM_MESSAGE_REPLAYED_STR "eb1845ad5db0decf0e90d693b5ec0400"
/* Services are up again after a kexec. */
#define PKRAM_MESSAGE_UP_STR "57159849e5f6fb4420dcf6876938c438"
/* A node that an earlier boot stored on disk was read. */
#define PKRAM_MESSAGE_READ_STR "b3b7e0f4861d4a2697c160a2c773ad0e"
/* The previous boot ended without a shutdown, and what it stored is lost. */
#define PKRAM_MESSAGE_CRASHED_STR "5962413383663f596c7207dbb4ea7f96"
/* A guest of pkram-qemu goes on after a kexec. */
#define PKRAM_MESSAGE_GUEST_RESUMED_STR "3a1f6c0b7d9e4b52a8c4e15f90d2637b"
/* A guest of pkram-qemu that had been saved could not go on, and boots. */
#define PKRAM_MESSAGE_GUEST_BOOTED_STR "b86d2f4e19c34a7085fe3d7c6a91e0d4"
/* A process of pkram-criu continues after a kexec. */
#define PKRAM_MESSAGE_PROCESS_RESUMED_STR "af7d0bea1329405e81d047c41b308dcc"
/* A process of pkram-criu that had been saved, or was about to be, could not continue and is started again. */
#define PKRAM_MESSAGE_PROCESS_STARTED_STR "6bf26185b9ea4e85be75db20e3abe8c7"
/* Descriptors in a unit's file descriptor store are not preserved across the kexec that begins. */
#define PKRAM_MESSAGE_FDSTORE_LOST_STR "7b23162af33b453e863cdb9d2b3b94c6"
/* A unit's file descriptor store was restored after a kexec. */
#define PKRAM_MESSAGE_FDSTORE_RESTORED_STR "67ef04ec4c6d45f8a62763ebe4b404c2"
/* A unit's file descriptor store could not be restored, and remains stored. */
#define PKRAM_MESSAGE_FDSTORE_FAILED_STR "874974e60439495bbcf681c3c789fc0e"
