// SPDX-License-Identifier: GPL-2.0
/*
 * pkram_cmdline_find() has to find what the kernel's own parser finds, which is
 * repeated here as it is in lib/cmdline.c and kernel/params.c.
 */
#include <stdio.h>
#include <string.h>

#include <linux/pkram_cmdline.h>

#include "memory.h"
#include "tests.h"

#define VALUE_MAX	64

static char *skip(char *s)
{
	while (pkram_cmdline_space(*s))
		s++;
	return s;
}

static char *next_arg(char *args, char **param, char **val)
{
	unsigned int i, equals = 0;
	int in_quote = 0, quoted = 0;

	if (*args == '"') {
		args++;
		in_quote = 1;
		quoted = 1;
	}

	for (i = 0; args[i]; i++) {
		if (pkram_cmdline_space(args[i]) && !in_quote)
			break;
		if (equals == 0) {
			if (args[i] == '=')
				equals = i;
		}
		if (args[i] == '"')
			in_quote = !in_quote;
	}

	*param = args;
	if (!equals) {
		*val = NULL;
	} else {
		args[equals] = '\0';
		*val = args + equals + 1;
		if (**val == '"') {
			(*val)++;
			if (args[i - 1] == '"')
				args[i - 1] = '\0';
		}
	}
	if (quoted && i > 0 && args[i - 1] == '"')
		args[i - 1] = '\0';

	if (args[i]) {
		args[i] = '\0';
		args += i + 1;
	} else {
		args += i;
	}
	return skip(args);
}

static bool reference_find(const char *line, char *value)
{
	char copy[256], *args, *param, *val;
	bool found = false;

	snprintf(copy, sizeof(copy), "%s", line);
	args = skip(copy);
	while (*args) {
		args = next_arg(args, &param, &val);
		if (!val && !strcmp(param, "--"))
			break;
		if (val && !strcmp(param, "pkram")) {
			found = true;
			snprintf(value, VALUE_MAX, "%s", val);
		}
	}
	return found;
}

static void compare(const char *line)
{
	char value[VALUE_MAX] = "none", want[VALUE_MAX] = "none";
	bool found = pkram_cmdline_find(line, value, sizeof(value));

	if (!EXPECT(found == reference_find(line, want)) || !EXPECT(!strcmp(value, want)))
		printf("# in '%s': '%s', not '%s'\n", line, value, want);
}

/* Everything that can be made of a few words. */
static void compare_all(char *line, size_t length, unsigned int depth)
{
	static const char *const parts[] = {
		"pkram=1", "pkram=2", "pkram", "=", " ", "\"", "--", "\t", "x",
	};
	unsigned int i;

	compare(line);
	if (!depth)
		return;
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		memcpy(line + length, parts[i], strlen(parts[i]) + 1);
		compare_all(line, length + strlen(parts[i]), depth - 1);
		line[length] = '\0';
	}
}

void test_cmdline(void)
{
	static const struct {
		const char *line;
		const char *value;
	} lines[] = {
		{ "", NULL },
		{ "quiet", NULL },
		{ "pkram=12ab", "12ab" },
		{ "quiet pkram=0x12ab root=/dev/vda", "0x12ab" },
		{ "pkram=1 pkram=2", "2" },
		{ "pkram=1 -- pkram=2", "1" },
		{ "quiet -- pkram=2", NULL },
		{ "quiet \"--\" pkram=2", NULL },
		{ "quiet --x pkram=2", "2" },
		{ "test=\"a pkram=1 b\"", NULL },
		{ "pkram=1 test=\"a pkram=2 b\" c", "1" },
		{ "pkram=\"1\"", "1" },
		{ "\"pkram=1\"", "1" },
		{ "pkram", NULL },
		{ "pkram=1 pkram", "1" },
		{ "pkram=", "" },
		{ "xpkram=1 pkram2=1 init=/pkram=1", NULL },
		{ "pkram=1 unfinished=\"a pkram=2", "1" },
		{ "pkram=0000000000000000000000000000000000000000000000000000000000000001", "" },
	};
	char line[256] = "", value[VALUE_MAX];
	unsigned int i;

	tap_begin("pkram= on a command line");
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		bool found = pkram_cmdline_find(lines[i].line, value, sizeof(value));

		if (!EXPECT(found == !!lines[i].value) ||
		    (found && !EXPECT(!strcmp(value, lines[i].value))))
			printf("# in '%s'\n", lines[i].line);
	}

	tap_begin("pkram= as the kernel's parser finds it");
	compare_all(line, 0, 5);
}
