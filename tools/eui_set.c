/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with open addressing, seeded, at most three quarters full. */
#include "tools/eui_set.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"

struct slot {
	uint8_t euis[16];
	uint32_t line; /* 0: empty */
};

struct eui_set {
	struct slot *slots;
	size_t size; /* a power of two */
	size_t used;
	uint64_t seed[2];
};

#define FIRST_SIZE 1024U

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

/* The slot of a device, or the empty one that it would take. */
static struct slot *
find(const struct eui_set *set, const uint8_t euis[16])
{
	uint64_t half[2];
	size_t i;

	memcpy(half, euis, sizeof(half));
	i = (size_t)mix(mix(half[0] ^ set->seed[0]) ^ half[1] ^ set->seed[1]);
	for (i &= set->size - 1; set->slots[i].line != 0;
	     i = (i + 1) & (set->size - 1)) {
		if (memcmp(set->slots[i].euis, euis, 16) == 0) {
			break;
		}
	}
	return &set->slots[i];
}

static void
grow(struct eui_set *set)
{
	struct slot *old = set->slots;
	size_t old_size = set->size;

	set->size *= 2;
	set->slots = sys_xcalloc(set->size, sizeof(*set->slots));
	for (size_t i = 0; i < old_size; i++) {
		if (old[i].line != 0) {
			*find(set, old[i].euis) = old[i];
		}
	}
	free(old);
}

struct eui_set *
eui_set_new(void)
{
	struct eui_set *set = sys_xcalloc(1, sizeof(*set));

	set->size = FIRST_SIZE;
	set->slots = sys_xcalloc(set->size, sizeof(*set->slots));
	sys_real.random(set->seed, sizeof(set->seed));
	return set;
}

void
eui_set_free(struct eui_set *set)
{
	if (set != NULL) {
		free(set->slots);
		free(set);
	}
}

uint64_t
eui_set_add(struct eui_set *set, const struct eui64 *join_eui,
    const struct eui64 *dev_eui, uint64_t line)
{
	uint8_t euis[16];
	struct slot *slot;

	memcpy(euis, join_eui->be, 8);
	memcpy(euis + 8, dev_eui->be, 8);
	slot = find(set, euis);
	if (slot->line != 0) {
		return slot->line;
	}
	memcpy(slot->euis, euis, sizeof(euis));
	slot->line = line < UINT32_MAX ? (uint32_t)line : UINT32_MAX;
	set->used++;
	if (set->used > set->size / 4 * 3) {
		grow(set);
	}
	return 0;
}
