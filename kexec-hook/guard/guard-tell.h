/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes text to the terminal of every login session and to the console: the user that requested a kexec has no other
 * way to get an answer, since `systemctl kexec` returns before anything is decided. Never blocks, never fails: a
 * terminal that takes nothing is passed over. text: lines separated by \n. */
void tell_terminals(const char *text);
