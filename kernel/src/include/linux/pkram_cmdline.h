/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pkram= on a command line, read in the same way by the kernel that loads an
 * image, by the decompressor of the image, and by its kernel.
 */
#ifndef _LINUX_PKRAM_CMDLINE_H
#define _LINUX_PKRAM_CMDLINE_H

#include <linux/types.h>

/* As isspace() of the kernel, which the decompressor does not have. */
static inline bool pkram_cmdline_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || (unsigned char)c == 0xa0;
}

/**
 * pkram_cmdline_find() - find the value of pkram= that the kernel will use
 * @line:  NUL-terminated command line
 * @value: buffer for the value, NUL-terminated, empty if it does not fit
 * @size:  bytes in @value, at least 1
 *
 * Splits @line like next_arg(): words are separated by white space outside of
 * double quotes, and quotes around a word or a value are removed. As in
 * parse_args(), everything behind a word "--" belongs to init. The last
 * "pkram=" counts. A word "pkram" without a value is ignored.
 *
 * Return: true if there is such a word.
 */
static inline bool pkram_cmdline_find(const char *line, char *value, size_t size)
{
	static const char name[] = "pkram";
	bool found = false;

	for (;;) {
		const char *word, *end, *equals = NULL;
		bool whole, quoted;
		size_t i;

		while (pkram_cmdline_space(*line))
			line++;
		if (!*line)
			return found;

		whole = *line == '"';
		quoted = whole;
		line += whole;
		for (word = line; *line && (quoted || !pkram_cmdline_space(*line)); line++) {
			/* next_arg() takes a "=" in front for a part of the name */
			if (*line == '=' && !equals && line > word)
				equals = line;
			if (*line == '"')
				quoted = !quoted;
		}
		end = line;
		if (end > word && end[-1] == '"' && (whole || (equals && equals[1] == '"')))
			end--;

		if (!equals) {
			if (end - word == 2 && word[0] == '-' && word[1] == '-')
				return found;
			continue;
		}
		for (i = 0; i < sizeof(name) - 1 && word + i < equals && word[i] == name[i]; i++)
			;
		if (i < sizeof(name) - 1 || word + i != equals)
			continue;

		found = true;
		word = equals + 1;
		if (*word == '"')
			word++;
		for (i = 0; word + i < end && i < size - 1; i++)
			value[i] = word[i];
		value[word + i < end ? 0 : i] = '\0';
	}
}

#endif /* _LINUX_PKRAM_CMDLINE_H */
