/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() for fuzz targets where libFuzzer is not: feed each file of the
 * corpus to the target, so that what a fuzzer found once stays found.
 *
 * fuzz_NAME reads tests/fuzz/corpus/NAME of the source tree ($srcdir, as make
 * check sets it), or the files and folders on its command line.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1024L * 1024L)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static _Noreturn void
fail(const char *path, const char *why)
{
	(void)fprintf(stderr, "%s: %s\n", path, why);
	exit(1);
}

/* Exactly as large as the input, so that ASan sees a read behind it. */
static uint8_t *
read_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long size;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
		fail(path, strerror(errno));
	}
	size = ftell(file);
	if (size < 0 || size > INPUT_MAX) {
		fail(path, "no input of reasonable size");
	}
	rewind(file);
	data = malloc(size > 0 ? (size_t)size : 1);
	if (data == NULL ||
	    fread(data, 1, (size_t)size, file) != (size_t)size) {
		fail(path, "cannot be read");
	}
	(void)fclose(file);
	*len = (size_t)size;
	return data;
}

static void
replay_file(const char *path)
{
	size_t len;
	uint8_t *data = read_file(path, &len);

	(void)fprintf(stderr, "%s (%zu octets)\n", path, len);
	(void)LLVMFuzzerTestOneInput(data, len);
	free(data);
}

/* How many files were replayed; a folder within a folder is not entered. */
static unsigned
replay_path(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[PATH_MAX];
	unsigned n = 0;

	if (dir == NULL) {
		replay_file(path);
		return 1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.') {
			continue;
		}
		(void)snprintf(
		    name, sizeof(name), "%s/%s", path, entry->d_name);
		replay_file(name);
		n++;
	}
	(void)closedir(dir);
	return n;
}

/* The corpus that belongs to the program's name. */
static unsigned
replay_corpus(const char *program)
{
	const char *srcdir = getenv("srcdir");
	const char *name = strrchr(program, '/');
	char path[PATH_MAX];

	name = name != NULL ? name + 1 : program;
	if (strncmp(name, "fuzz_", 5) != 0) {
		fail(program, "is not called fuzz_NAME");
	}
	(void)snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s",
	    srcdir != NULL ? srcdir : ".", name + 5);
	return replay_path(path);
}

int
main(int argc, char **argv)
{
	unsigned n = 0;

	for (int i = 1; i < argc; i++) {
		n += replay_path(argv[i]);
	}
	if (argc == 1) {
		n = replay_corpus(argv[0]);
	}
	if (n == 0) {
		fail(argv[0], "has nothing to replay");
	}
	(void)printf("%u inputs replayed\n", n);
	return 0;
}
