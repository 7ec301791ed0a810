/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header that makes a plain binary a multiboot kernel, with the addresses of guest.ld, and a stack. */
        .code32
        .section .header, "a"
header:
        .long 0x1badb002                /* magic */
        .long 0x00010000                /* addresses follow */
        .long -(0x1badb002 + 0x00010000)
        .long header
        .long guest_begin
        .long guest_data_end
        .long guest_end
        .long start

        .section .text
        .globl start
start:
        mov $stack_end, %esp
        call guest_main
halt:   hlt
        jmp halt

        .section .bss
        .balign 16
        .skip 16384
stack_end:
        .section .note.GNU-stack, "", @progbits
