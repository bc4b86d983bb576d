/* aigw_shared: processes share it, and one that is killed while it holds the lock does not hold the others up. */
#include "suites.h"
#include "aigw_shared.h"
#include "aigw_revoked.h"

#include <apr_general.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 4096

static apr_pool_t *pool;
static aigw_shared_t *shared;

static void setup(void)
{
    apr_pool_create(&pool, NULL);
    ck_assert_int_eq(aigw_shared_make(&shared, SIZE, pool), APR_SUCCESS);
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

START_TEST(it_begins_with_zeros)
{
    const char *data = aigw_shared_data(shared);
    int i;

    for (i = 0; i < SIZE; i++) {
        MUST(data[i] == 0);
    }
    ck_assert_int_eq((int)((apr_uintptr_t)data % 16), 0);
}
END_TEST

START_TEST(processes_take_turns)
{
    long *count = aigw_shared_data(shared);
    int i, k, status;

    for (i = 0; i < 4; i++) {
        if (!fork()) {
            for (k = 0; k < 20000; k++) {
                if (aigw_shared_lock(shared) != APR_SUCCESS) {
                    _exit(1);
                }
                *(volatile long *)count += 1;
                aigw_shared_unlock(shared);
            }
            _exit(0);
        }
    }
    for (i = 0; i < 4; i++) {
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(*count, 80000);
}
END_TEST

START_TEST(one_that_is_killed_with_the_lock_is_told_of_once)
{
    volatile char *data = aigw_shared_data(shared);
    pid_t pid = fork();
    int status;

    if (!pid) {
        aigw_shared_lock(shared);
        *data = 1;
        for (;;) {
            pause();
        }
    }
    while (!*data) {
        usleep(1000);
    }
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(aigw_shared_lock(shared), APR_INCOMPLETE);
    aigw_shared_unlock(shared);
    ck_assert_int_eq(aigw_shared_lock(shared), APR_SUCCESS);
    aigw_shared_unlock(shared);
}
END_TEST

/* Killed at any moment of a change, again and again: what had been added before is always there. */
START_TEST(a_table_survives_those_who_are_killed_while_they_change_it)
{
    const apr_uint32_t capacity = 200;
    unsigned char id[AIGW_REVOKED_ID] = {0};
    aigw_shared_t *memory;
    aigw_revoked_t *table;
    int round, told = 0;

    ck_assert_int_eq(aigw_shared_make(&memory, aigw_revoked_size(capacity), pool), APR_SUCCESS);
    table = aigw_revoked_init(aigw_shared_data(memory), capacity);
    for (round = 0; round < 100; round++) {
        apr_time_t now = 1000 * (round + 1);
        pid_t pid;

        id[0] = (unsigned char)round;
        id[31] = 1;
        ck_assert_int_eq(aigw_revoked_add(table, id, 1000000, now), APR_SUCCESS);
        pid = fork();
        if (!pid) {
            unsigned n = 0;

            id[31] = 2;
            for (;;) {
                n++;
                memcpy(id + 8, &n, sizeof n);
                id[0] = (unsigned char)n;
                if (aigw_shared_lock(memory) == APR_SUCCESS) {
                    aigw_revoked_add(table, id, now + 1 + n % 3, now + n % 3);
                    aigw_shared_unlock(memory);
                }
            }
        }
        usleep((useconds_t)(500 + round * 37 % 1000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (aigw_shared_lock(memory) == APR_INCOMPLETE) {
            aigw_revoked_repair(table);
            told++;
        }
        memset(id, 0, sizeof id);
        id[31] = 1;
        for (id[0] = 0; id[0] <= round; id[0]++) {
            MUST(aigw_revoked_have(table, id));
        }
        aigw_shared_unlock(memory);
        memset(id, 0, sizeof id);
    }
    ck_assert_int_gt(told, 0); /* else this has tested nothing */
}
END_TEST

Suite *suite_shared(void)
{
    Suite *s = suite_create("shared");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, it_begins_with_zeros);
    tcase_add_test(c, processes_take_turns);
    tcase_add_test(c, one_that_is_killed_with_the_lock_is_told_of_once);
    tcase_add_test(c, a_table_survives_those_who_are_killed_while_they_change_it);
    suite_add_tcase(s, c);
    return s;
}
