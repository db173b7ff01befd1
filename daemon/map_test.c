/* Maps whose keys agencies choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/broker_fixture.h"
#include "daemon/peer.h"

static const struct hash_key one = { { 1 } }, other = { { 2 } };

static void what_is_put_in_is_found(void **state)
{
    enum { COUNT = 10000 };
    struct arena *arena = arena_new();
    struct map *map = map_new(arena, &one);
    static int values[COUNT];
    char key[16];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "%d", i);
        *map_slot(map, key, strlen(key)) = &values[i];
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "%d", i);
        assert_ptr_equal(map_find(map, key, strlen(key)), &values[i]);
        assert_ptr_equal(*map_slot(map, key, strlen(key)), &values[i]);
    }
    assert_null(map_find(map, "x", 1));
    assert_null(map_find(map, "1", 2)); /* the same bytes, another length */
    arena_free(&arena);
}

/* Among so many keys, about 1 in 65,536 pairs have 16 equal bits of hash: those that have under one hash key do not
 * under another. */
static void keys_that_collide_under_one_hash_key_do_not_under_another(void **state)
{
    enum { COUNT = 2000, BITS = 0xffff };
    static uint64_t under_one[COUNT], under_other[COUNT];
    int both = 0, first = 0;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        under_one[i] = hash_of(&one, &i, sizeof i) & BITS;
        under_other[i] = hash_of(&other, &i, sizeof i) & BITS;
    }
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++) {
            first += under_one[i] == under_one[j];
            both += under_one[i] == under_one[j] && under_other[i] == under_other[j];
        }
    assert_true(first > 0);
    assert_int_equal(both, 0);
}

static void each_broker_has_a_hash_key_of_its_own(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct hash_key before = world->broker->hash_key;

    (void)state;
    world_drop(world);
    world_start(world);
    assert_memory_equal(&world->broker->hash_key, &before,
                        sizeof before); /* of its seed: what it does can be replayed */
    world_drop(world);
    world->options.seed[0]++;
    world_start(world);
    assert_memory_not_equal(&world->broker->hash_key, &before, sizeof before);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_in_is_found),
        cmocka_unit_test(keys_that_collide_under_one_hash_key_do_not_under_another),
        cmocka_unit_test(each_broker_has_a_hash_key_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
