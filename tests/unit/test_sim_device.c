/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's devices: nonces, state file, statistics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/sim_state.h"
#include "tools/sim_stats.h"

/* Random DevNonces are a permutation, whatever the seed. */
static void
test_random_nonces(void **state)
{
	static const uint16_t seeds[] = { 0, 1, 0x00FF, 0x8000, 0xFFFF };
	static bool seen[65536];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(seeds); i++) {
		struct sim_device d = { .random_nonces = true,
			.seed = seeds[i] };
		unsigned rising = 0;

		memset(seen, 0, sizeof(seen));
		for (uint32_t n = 0; n < 65536; n++) {
			uint16_t nonce = sim_device_nonce(&d, n);

			assert_false(seen[nonce]);
			seen[nonce] = true;
			rising += n > 0 && nonce > sim_device_nonce(&d, n - 1);
		}
		assert_in_range(rising, 20000, 45000);
	}
}

static void
test_counting_nonces(void **state)
{
	struct sim_device d = { .random_nonces = false };

	(void)state;
	assert_int_equal(sim_device_nonce(&d, 0), 0);
	assert_int_equal(sim_device_nonce(&d, 256), 256);
	assert_int_equal(sim_device_nonce(&d, 65535), 65535);
	assert_true(
	    sim_device_random_nonces(JOINERY__V1__MAC_VERSION__MAC_1_0_3));
	assert_false(
	    sim_device_random_nonces(JOINERY__V1__MAC_VERSION__MAC_1_0_4));
}

static void
test_join_nonces(void **state)
{
	struct sim_device d = { .join_nonces = { .base = 100 } };

	(void)state;
	assert_false(sim_device_saw(&d, 0));
	assert_false(sim_device_saw(&d, 100));
	assert_true(sim_device_saw(&d, 102));
	assert_true(sim_device_saw(&d, 101));
	assert_false(sim_device_saw(&d, 101));
	assert_false(sim_device_saw(&d, 102));
	assert_int_equal(d.join_nonce, 102);
	assert_true(sim_device_saw(&d, 0xFFFFFF));
	assert_false(sim_device_saw(&d, 0xFFFFFF));
	assert_true(sim_device_saw(&d, 103));
	assert_int_equal(d.join_nonce, 0xFFFFFF);
	free(d.join_nonces.bits);
}

static void
fleet_of_two(struct sim_fleet *f)
{
	struct sim_roots roots = { .has_app = true };
	struct sim_device *d;

	memset(f, 0, sizeof(*f));
	for (uint8_t i = 1; i <= 2; i++) {
		roots.app.b[0] = i;
		assert_int_equal(sim_fleet_add(f, &roots, &d, NULL), JY_OK);
		d->dev_eui.be[7] = i;
		d->join_eui.be[0] = i;
		d->next = 10U * i;
		d->accepted = 9U * i;
		d->join_nonce = 1000U * i;
		d->seed = i;
	}
}

/* What is written comes back; devices of other runs stay in the file. */
static void
test_state(void **state)
{
	char path[] = "test_sim_device.XXXXXX";
	int fd = mkstemp(path);
	struct sim_fleet f;

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	fleet_of_two(&f);
	assert_int_equal(sim_state_write(&f, path, NULL), JY_OK);
	f.count = 1;
	f.devices[0].next = 11;
	assert_int_equal(sim_state_write(&f, path, NULL), JY_OK);
	f.count = 2;
	for (size_t i = 0; i < 2; i++) {
		f.devices[i].next = f.devices[i].accepted = 0;
		f.devices[i].join_nonce = f.devices[i].seed = 0;
	}
	assert_int_equal(sim_state_read(&f, path, NULL), JY_OK);
	assert_int_equal(f.devices[0].next, 11);
	assert_int_equal(f.devices[0].accepted, 9);
	assert_int_equal(f.devices[1].next, 20);
	assert_int_equal(f.devices[1].join_nonce, 2000);
	assert_int_equal(f.devices[1].join_nonces.base, 2000);
	assert_int_equal(f.devices[1].seed, 2);
	assert_int_equal(f.devices[1].roots->app.b[0], 2);
	sim_fleet_fini(&f);
	assert_int_equal(unlink(path), 0);
}

static const char old_line[] =
    "0100000000000000,0000000000000001,1,10,9,1000\n";
static const char new_line[] =
    "0100000000000000,0000000000000001,1,10,9,1000,256,65536,"
    "0003e7/00013f/0102/1,"
    "c0003f01003e051c000ba304000201a1b2c3d4,"
    "000102030405060708090a0b0c0d0e0f\n";

static void
write_text(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	(void)fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

/* A line of before there were rejoins: no session, counters at their start. */
static void
test_state_of_old(void **state)
{
	char path[] = "test_sim_device.XXXXXX";
	struct sim_fleet f;
	struct sim_device *d;

	(void)state;
	fleet_of_two(&f);
	(void)close(mkstemp(path));
	write_text(path, old_line);
	d = &f.devices[0];
	d->next = 0;
	assert_int_equal(sim_state_read(&f, path, NULL), JY_OK);
	assert_int_equal(d->next, 10);
	assert_int_equal(d->join_nonce, 1000);
	assert_int_equal(d->rj_count0, 0);
	assert_int_equal(d->rj_count1, 0);
	assert_false(d->session.set);
	assert_false(d->has_last_id);
	assert_int_equal(d->last_rejoin_len, 0);
	/* Another device's line stays as it is, whichever version. */
	f.devices[0].dev_eui.be[0] = 9;
	assert_int_equal(sim_state_write(&f, path, NULL), JY_OK);
	f.devices[0].dev_eui.be[0] = 0;
	assert_int_equal(sim_state_read(&f, path, NULL), JY_OK);
	assert_int_equal(unlink(path), 0);
	sim_fleet_fini(&f);
}

/* Session, counters and last rejoin-request come back, and go out again. */
static void
test_state_of_rejoins(void **state)
{
	char path[] = "test_sim_device.XXXXXX";
	char text[256] = "";
	struct sim_fleet f;
	struct sim_device *d;
	FILE *in;

	(void)state;
	fleet_of_two(&f);
	(void)close(mkstemp(path));
	write_text(path, new_line);
	f.count = 1;
	d = &f.devices[0];
	assert_int_equal(sim_state_read(&f, path, NULL), JY_OK);
	assert_int_equal(d->rj_count0, 256);
	assert_int_equal(d->rj_count1, 65536);
	assert_true(d->session.set);
	assert_true(sim_spec_opt_neg(&d->session.join));
	assert_true(eui64_eq(&d->session.join.dev_eui, &d->dev_eui));
	assert_true(eui64_eq(&d->session.join.join_eui, &d->join_eui));
	assert_int_equal(d->session.join.counter, 0x0102);
	assert_int_equal(d->session.join.accept.join_nonce, 0x0003E7);
	assert_int_equal(d->session.join.accept.net_id, 0x00013F);
	assert_int_equal(d->last_rejoin_len, SIM_REJOIN_LEN);
	assert_int_equal(d->last_rejoin[2], 0x3F);
	assert_true(d->has_last_id);
	assert_int_equal(d->last_id[15], 0x0F);
	assert_int_equal(sim_state_write(&f, path, NULL), JY_OK);
	in = fopen(path, "r");
	assert_non_null(in);
	assert_non_null(fgets(text, sizeof(text), in));
	(void)fclose(in);
	assert_string_equal(text, new_line);
	assert_int_equal(unlink(path), 0);
	sim_fleet_fini(&f);
}

static void
test_rj_counts(void **state)
{
	struct sim_device d = { .rj_count0 = 0xFF, .rj_count1 = 0xFFFF };
	uint16_t n = 0;

	(void)state;
	assert_true(sim_device_rj_count(&d, SIM_REJOIN_ROAMING, &n));
	assert_int_equal(n, 0xFF);
	assert_true(sim_device_rj_count(&d, SIM_REJOIN_REKEY, &n));
	assert_int_equal(n, 0x100);
	assert_true(sim_device_rj_count(&d, SIM_REJOIN_WITH_EUI, &n));
	assert_int_equal(n, 0xFFFF);
	assert_false(sim_device_rj_count(&d, SIM_REJOIN_WITH_EUI, &n));
}

#define WHO "0100000000000000,0000000000000001,"

static void
test_state_errors(void **state)
{
	static const char *const lines[] = {
		WHO,
		WHO "1,2,2\n",
		WHO "1,2,3,0\n",
		WHO "1,2,1,16777216\n",
		WHO "1,65537,1,1\n",
		WHO "65536,2,1,1\n",
		WHO "1,2,1,1 \n",
		WHO "1,2,1,1",
		WHO "1,2,1,1,\n",
		WHO "1,2,1,1,1,1\n",
		WHO "1,2,1,1,1,1,-,-\n",
		WHO "1,2,1,1,1,1,-,-,-",
		WHO "1,2,1,1,1,1,-,-,-,\n",
		WHO "1,2,1,1,65537,1,-,-,-\n",
		WHO "1,2,1,1,1,65537,-,-,-\n",
		WHO "1,2,1,1,1,1,000001/000013/0001,-,-\n",
		WHO "1,2,1,1,1,1,000001/000013/0001/2,-,-\n",
		WHO "1,2,1,1,1,1,000001/000013/0001/1/,-,-\n",
		WHO "1,2,1,1,1,1,-,c000,-\n",
		WHO "1,2,1,1,1,1,-,-,00\n",
		WHO "1,2,1,1,1,1,,-,-\n",
	};
	char path[] = "test_sim_device.XXXXXX";
	struct sim_fleet f;

	(void)state;
	fleet_of_two(&f);
	(void)close(mkstemp(path));
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		FILE *out = fopen(path, "w");

		assert_non_null(out);
		(void)fputs(lines[i], out);
		(void)fclose(out);
		assert_int_equal(sim_state_read(&f, path, NULL), JY_EINVAL);
		assert_int_equal(sim_state_write(&f, path, NULL), JY_EINVAL);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sim_state_read(&f, path, NULL), JY_OK);
	assert_int_equal(sim_state_write(&f, "/nonexistent/x", NULL), JY_EIO);
	sim_fleet_fini(&f);
}

/* More devices than fit in one locked block keep their own keys. */
static void
test_fleet_grows(void **state)
{
	struct sim_roots roots = { .has_nwk = true };
	struct sim_fleet f = { 0 };
	struct sim_device *d;

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		memcpy(roots.nwk.b, &i, sizeof(i));
		assert_int_equal(sim_fleet_add(&f, &roots, &d, NULL), JY_OK);
	}
	for (uint32_t i = 0; i < 5000; i++) {
		assert_memory_equal(f.devices[i].roots->nwk.b, &i, sizeof(i));
	}
	sim_fleet_fini(&f);
}

static void
test_stats(void **state)
{
	struct sim_stats s;

	(void)state;
	sim_stats_init(&s, 100);
	assert_int_equal(sim_stats_quantile(&s, 500), 0);
	for (uint64_t us = 100; us >= 1; us--) {
		sim_stats_latency(&s, us);
	}
	sim_stats_latency(&s, 1000); /* no room */
	assert_int_equal(sim_stats_quantile(&s, 500), 50);
	assert_int_equal(sim_stats_quantile(&s, 990), 99);
	assert_int_equal(sim_stats_quantile(&s, 1000), 100);
	assert_int_equal(sim_stats_quantile(&s, 0), 1);
	sim_stats_count(&s, SIM_OK);
	assert_int_equal(sim_stats_status(&s), SIM_OK);
	sim_stats_count(&s, SIM_REFUSED);
	assert_int_equal(sim_stats_status(&s), SIM_REFUSED);
	sim_stats_count(&s, SIM_FAILED);
	assert_int_equal(sim_stats_status(&s), SIM_FAILED);
	sim_stats_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_nonces),
		cmocka_unit_test(test_counting_nonces),
		cmocka_unit_test(test_join_nonces),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_state_of_old),
		cmocka_unit_test(test_state_of_rejoins),
		cmocka_unit_test(test_rj_counts),
		cmocka_unit_test(test_state_errors),
		cmocka_unit_test(test_fleet_grows),
		cmocka_unit_test(test_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
