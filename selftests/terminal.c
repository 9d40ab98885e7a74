// SPDX-License-Identifier: BSD-2-Clause
/*
 * Runs a program in a terminal and looks at its screen, for scripts.
 *
 *	terminal ROWS COLUMNS COMMAND [ARGUMENT...]
 *
 * does the steps that are lines of its standard input:
 *
 *	wait REGEX	until a line of the screen matches
 *	gone REGEX	until none does
 *	send TEXT	type it; ^X is a control character, and "space" a space
 *	signal NUMBER	send the program a signal
 *	show		print the screen, as comments
 *	end STATUS	until the program ends: with this exit status, and the terminal as it was before, which is its settings, its usual
 *			screen and a cursor that is seen
 *
 * The exit status is 0 if all of them did. If not, it says which, and shows the screen. It understands what a program writes who
 * addresses lines and columns, and takes each character to be one column wide.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#define LIMIT_MS	240000		/* matters only in a test that fails */
#define MOST_ROWS	200
#define MOST_COLUMNS	400
#define MOST_NUMBERS	16

/* A character of a cell, with the zero that ends it. */
struct cell {
	char text[5];
};

static struct cell cells[MOST_ROWS][MOST_COLUMNS];
static int rows, columns, row, column;
static bool other_screen, hidden_cursor;

/* What of an escape sequence, or of a character of several octets, has come. */
static enum { TEXT, ESCAPE, SEQUENCE } state;
static int numbers[MOST_NUMBERS], number_count;
static bool is_private;
static char character[5];
static int character_len, character_left;

static int terminal;
static pid_t child;

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void erase(int from_row, int from_column, int to_row, int to_column)
{
	int at_row, at_column;

	for (at_row = from_row; at_row <= to_row; at_row++) {
		for (at_column = at_row == from_row ? from_column : 0; at_column < columns; at_column++) {
			if (at_row == to_row && at_column > to_column)
				break;
			strcpy(cells[at_row][at_column].text, " ");
		}
	}
}

static void line_feed(void)
{
	if (++row < rows)
		return;
	row = rows - 1;
	memmove(cells[0], cells[1], sizeof(cells[0]) * (rows - 1));
	erase(row, 0, row, columns - 1);
}

static void put(const char *text)
{
	if (column >= columns) {
		column = 0;
		line_feed();
	}
	strcpy(cells[row][column++].text, text);
}

static int number(int at, int otherwise)
{
	return at < number_count && numbers[at] ? numbers[at] : otherwise;
}

static int within(int value, int end)
{
	return value < 0 ? 0 : value >= end ? end - 1 : value;
}

static void erase_display(void)
{
	int what = number(0, 0);

	if (what == 0)
		erase(row, within(column, columns), rows - 1, columns - 1);
	else if (what == 1)
		erase(0, 0, row, within(column, columns));
	else
		erase(0, 0, rows - 1, columns - 1);
}

static void erase_line(void)
{
	int what = number(0, 0);

	erase(row, what == 0 ? within(column, columns) : 0, row, what == 1 ? within(column, columns) : columns - 1);
}

/* The end of a sequence; what it does not know, such as colours, it leaves. */
static void finish_sequence(char last)
{
	int i;

	if (is_private) {
		for (i = 0; i < number_count; i++) {
			if (numbers[i] == 1049)
				other_screen = last == 'h';
			else if (numbers[i] == 25)
				hidden_cursor = last == 'l';
		}
		return;
	}
	switch (last) {
	case 'A':
		row = within(row - number(0, 1), rows);
		break;
	case 'B':
		row = within(row + number(0, 1), rows);
		break;
	case 'C':
		column = within(column + number(0, 1), columns);
		break;
	case 'D':
		column = within(column - number(0, 1), columns);
		break;
	case 'H':
	case 'f':
		row = within(number(0, 1) - 1, rows);
		column = within(number(1, 1) - 1, columns);
		break;
	case 'J':
		erase_display();
		break;
	case 'K':
		erase_line();
		break;
	}
}

static void take_sequence(unsigned char octet)
{
	if (octet >= '0' && octet <= '9') {
		if (!number_count)
			number_count = 1;
		if (number_count <= MOST_NUMBERS && numbers[number_count - 1] < 100000)
			numbers[number_count - 1] = numbers[number_count - 1] * 10 + octet - '0';
	} else if (octet == ';') {
		if (!number_count)
			number_count = 1;
		if (number_count < MOST_NUMBERS)
			numbers[number_count++] = 0;
	} else if (octet == '?') {
		is_private = true;
	} else if (octet >= '@' && octet <= '~') {
		finish_sequence(octet);
		state = TEXT;
	}
}

static void take_text(unsigned char octet)
{
	if (character_left && (octet & 0xc0) == 0x80) {
		character[character_len++] = octet;
		if (!--character_left) {
			character[character_len] = 0;
			put(character);
		}
		return;
	}
	character_left = 0;
	if (octet == 0x1b) {
		state = ESCAPE;
	} else if (octet == '\r') {
		column = 0;
	} else if (octet == '\n') {
		line_feed();
	} else if (octet == '\b') {
		column = within(column - 1, columns);
	} else if (octet >= 0xc0) {
		character[0] = octet;
		character_len = 1;
		character_left = octet >= 0xf0 ? 3 : octet >= 0xe0 ? 2 : 1;
	} else if (octet >= ' ' && octet < 0x7f) {
		put((char[]){ octet, 0 });
	}
}

static void take(unsigned char octet)
{
	switch (state) {
	case TEXT:
		take_text(octet);
		break;
	case ESCAPE:
		state = octet == '[' ? SEQUENCE : TEXT;
		memset(numbers, 0, sizeof(numbers));
		number_count = 0;
		is_private = false;
		break;
	case SEQUENCE:
		take_sequence(octet);
		break;
	}
}

static void line_text(int at_row, char *text)
{
	const char *start = text;
	int at;

	*text = 0;
	for (at = 0; at < columns; at++)
		text = stpcpy(text, cells[at_row][at].text);
	while (text > start && text[-1] == ' ')
		*--text = 0;
}

static void show(void)
{
	char text[MOST_COLUMNS * 4 + 2] = "|";
	int at;

	for (at = 0; at < rows; at++) {
		line_text(at, text + 1);
		printf("# %s\n", text);
	}
	fflush(stdout);
}

static bool matches(const regex_t *regex)
{
	char text[MOST_COLUMNS * 4 + 2] = "|";
	int at;

	for (at = 0; at < rows; at++) {
		line_text(at, text + 1);
		if (!regexec(regex, text + 1, 0, NULL, 0))
			return true;
	}
	return false;
}

/* Takes what the program writes, if it does so within "ms". */
static void look(int ms)
{
	struct pollfd fd = { .fd = terminal, .events = POLLIN };
	unsigned char octets[4096];
	ssize_t len, i;

	if (poll(&fd, 1, ms) <= 0)
		return;
	len = read(terminal, octets, sizeof(octets));
	for (i = 0; i < len; i++)
		take(octets[i]);
}

/* The program has ended, and nothing of what it wrote is left. */
static bool is_over(void)
{
	struct pollfd fd = { .fd = terminal, .events = POLLIN };
	siginfo_t info = { 0 };

	return !waitid(P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == child && poll(&fd, 1, 0) <= 0;
}

static bool wait_for(const char *pattern, bool there)
{
	long end = now_ms() + LIMIT_MS;
	regex_t regex;
	bool seen;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
		errx(2, "'%s' is no regular expression", pattern);
	while ((seen = matches(&regex)) != there && now_ms() < end && !is_over())
		look(100);
	regfree(&regex);
	return seen == there;
}

static bool type(const char *text)
{
	if (!strcmp(text, "space"))
		text = " ";
	for (; *text; text++) {
		char octet = *text;

		if (octet == '^' && text[1])
			octet = *++text & 0x1f;
		if (write(terminal, &octet, 1) != 1)
			return false;
	}
	return true;
}

/* The other side is open here too, so that its settings can be read when the program has ended. */
static bool wait_end(int expected, int other_side, const struct termios *before)
{
	long end = now_ms() + LIMIT_MS;
	struct termios after;
	int status, result;

	while (!(result = waitpid(child, &status, WNOHANG)) && now_ms() < end)
		look(100);
	if (result != child) {
		puts("# it does not end");
		return false;
	}
	/* What it wrote last. */
	while (poll(&(struct pollfd){ .fd = terminal, .events = POLLIN }, 1, 0) > 0)
		look(0);
	child = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != expected) {
		printf("# it ended with status 0x%x\n", status);
		return false;
	}
	if (tcgetattr(other_side, &after))
		err(2, "tcgetattr");
	if (after.c_iflag != before->c_iflag || after.c_oflag != before->c_oflag || after.c_lflag != before->c_lflag ||
	    after.c_cflag != before->c_cflag || memcmp(after.c_cc, before->c_cc, sizeof(after.c_cc))) {
		puts("# the settings of the terminal are others");
		return false;
	}
	if (other_screen || hidden_cursor) {
		puts(other_screen ? "# it left the other screen on" : "# it left the cursor hidden");
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct winsize size;
	struct termios before;
	char line[1024];
	int other_side;
	bool good = true;

	if (argc < 4)
		errx(2, "usage: terminal ROWS COLUMNS COMMAND [ARGUMENT...]");
	rows = within(atoi(argv[1]), MOST_ROWS);
	columns = within(atoi(argv[2]), MOST_COLUMNS);
	size = (struct winsize){ .ws_row = rows, .ws_col = columns };
	erase(0, 0, rows - 1, columns - 1);
	if (openpty(&terminal, &other_side, NULL, NULL, &size) || tcgetattr(other_side, &before))
		err(2, "openpty");
	child = fork();
	if (child < 0)
		err(2, "fork");
	if (!child) {
		if (login_tty(other_side))
			_exit(126);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	while (good && fgets(line, sizeof(line), stdin)) {
		char *argument = line + strcspn(line, " \n");

		line[strcspn(line, "\n")] = 0;
		if (*argument)
			*argument++ = 0;
		if (!strcmp(line, "wait"))
			good = wait_for(argument, true);
		else if (!strcmp(line, "gone"))
			good = wait_for(argument, false);
		else if (!strcmp(line, "send"))
			good = type(argument);
		else if (!strcmp(line, "signal"))
			good = !kill(child, atoi(argument));
		else if (!strcmp(line, "show"))
			show();
		else if (!strcmp(line, "end"))
			good = wait_end(atoi(argument), other_side, &before);
		else
			errx(2, "'%s' is no step", line);
		if (!good)
			printf("# not so: %s %s\n", line, argument);
	}
	if (!good)
		show();
	if (child)
		kill(child, SIGKILL);
	return !good;
}
