/* aigw_limit_stripe: killed behind any instruction of a change, what the next one finds after mending is either before the change or behind it.
 *
 * A child makes the changes one instruction at a time (ptrace). After each the memory is what it would be if the child had been killed there: a copy of it is mended and looked at. */
#include "suites.h"
#include "aigw_limit_stripe.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRIES = 3, HOLDS = 4, AMOUNT = 1000, BEFORE = 100, RESERVED = 40, USED = 30, OWNER = 7 };

static const unsigned char secret[AIGW_LIMIT_SECRET] = "sixteen letters";
static const unsigned char slots_key[AIGW_LIMIT_KEY] = "slots", tokens_key[AIGW_LIMIT_KEY] = "tokens", idle_key[AIGW_LIMIT_KEY] = "idle";
static const unsigned char new_key[AIGW_LIMIT_KEY] = "new", last_key[AIGW_LIMIT_KEY] = "last";
static const aigw_rate_t rate = {AIGW_RATE_SLIDING_WINDOW, AMOUNT, APR_USEC_PER_SEC * 60, AMOUNT};
static const apr_time_t now = APR_USEC_PER_SEC * 1000;

/* A key, and its hash. */
#define HASHED(key) key, aigw_limit_table_hash(key, secret)

static apr_size_t size;
static char *shared, *copy, *half_done; /* half_done: one that was killed in the middle of charging */
static volatile int *inside;            /* the child is where it matters */
static int mended;                      /* copies with a change to undo */

static void *memory(apr_size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    MUST(at != MAP_FAILED);
    return at;
}

static void setup(void)
{
    aigw_limit_stripe_t stripe;

    size = aigw_limit_stripe_size(ENTRIES, HOLDS);
    shared = memory(size);
    copy = memory(size);
    half_done = memory(size);
    inside = memory(sizeof *inside);
    aigw_limit_stripe_init(&stripe, shared, ENTRIES, HOLDS, secret);
    aigw_limit_stripe_charge(&stripe, aigw_limit_table_get(stripe.table, HASHED(slots_key), now), slots_key, NULL, 1, OWNER, now);
    aigw_limit_stripe_charge(&stripe, aigw_limit_table_get(stripe.table, HASHED(tokens_key), now), tokens_key, &rate, BEFORE, 0, now);
    aigw_limit_table_get(stripe.table, HASHED(idle_key), now);
}

static void teardown(void)
{
    munmap(shared, size);
    munmap(copy, size);
    munmap(half_done, size);
    munmap((void *)inside, sizeof *inside);
}

/* ------------------------------------------------------------------ one step at a time */

static void step_through(void (*work)(void), void (*look)(void))
{
    pid_t pid = fork();
    int status, steps = 0;

    if (!pid) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) {
            _exit(1);
        }
        raise(SIGSTOP);
        *inside = 1;
        work();
        *inside = 0;
        _exit(0);
    }
    for (;;) {
        MUST(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            break;
        }
        if (*inside) {
            steps++;
            look();
        }
        MUST(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
    }
    ck_assert_int_eq(status, 0);
    ck_assert_int_gt(steps, 100); /* else this was none */
}

/* ------------------------------------------------------------------ what must hold */

static apr_int64_t held_in_ledger(const aigw_limit_stripe_t *stripe, const unsigned char *key)
{
    const aigw_limit_hold_t *hold;
    apr_uint32_t place = 0;
    apr_int64_t sum = 0;

    while ((hold = aigw_limit_ledger_next(stripe->ledger, &place))) {
        MUST(hold->owner == OWNER && (hold->rate.window ? hold->rate.amount == AMOUNT && hold->charged_at == now : !hold->rate.amount));
        sum += memcmp(hold->key, key, AIGW_LIMIT_KEY) ? 0 : hold->amount;
    }
    return sum;
}

static apr_int64_t used_of(const aigw_limit_stripe_t *stripe, const unsigned char *key)
{
    aigw_limit_entry_t *entry = aigw_limit_table_find(stripe->table, HASHED(key));

    return entry ? AMOUNT - aigw_rate_level(&entry->state, &rate, now) : -1;
}

/* It is mended, and goes on. */
static void check_mended(void)
{
    aigw_limit_stripe_t stripe;
    aigw_limit_entry_t *slots;
    apr_uint32_t entries, used, left = HOLDS;
    apr_uint64_t evicted, id;
    apr_int64_t tokens, reserved;

    aigw_limit_stripe_at(&stripe, copy);
    mended += *(const apr_uint32_t *)copy == 1; /* the journal's mark */
    aigw_limit_stripe_repair(&stripe);

    slots = aigw_limit_table_find(stripe.table, HASHED(slots_key));
    MUST(slots && slots->held == held_in_ledger(&stripe, slots_key));
    MUST(slots->held >= 0 && slots->held <= 2);
    tokens = used_of(&stripe, tokens_key);
    reserved = held_in_ledger(&stripe, tokens_key);
    MUST(reserved ? reserved == RESERVED && tokens == BEFORE + RESERVED : tokens == BEFORE || tokens == BEFORE + USED);

    aigw_limit_table_count(stripe.table, &entries, &used, &evicted);
    MUST(used == 2u + (used_of(&stripe, idle_key) >= 0) + (used_of(&stripe, new_key) >= 0));
    id = aigw_limit_stripe_charge(&stripe, aigw_limit_table_get_spare(stripe.table, HASHED(last_key), now), last_key, NULL, 1, OWNER, now);
    MUST(held_in_ledger(&stripe, last_key) == 1);
    aigw_limit_stripe_adjust(&stripe, aigw_limit_table_find(stripe.table, HASHED(last_key)), aigw_limit_ledger_find(stripe.ledger, id),
                             NULL, -1, now, now);
    MUST(held_in_ledger(&stripe, last_key) == 0 && aigw_limit_table_find(stripe.table, HASHED(last_key))->held == 0);
    left -= (apr_uint32_t)held_in_ledger(&stripe, slots_key) + (reserved > 0);
    MUST(aigw_limit_ledger_room(stripe.ledger) == left);
}

static void look(void)
{
    memcpy(copy, shared, size);
    if (*(const apr_uint32_t *)copy == 1) {
        memcpy(half_done, copy, size);
    }
    check_mended();
}

/* ------------------------------------------------------------------ */

/* A slot and tokens are taken, a new entry makes the idle one go, and all of it is given back; the tokens were fewer in the end. */
static void change_all(void)
{
    aigw_limit_stripe_t stripe;
    aigw_limit_entry_t *slots, *tokens;
    apr_uint64_t slot, reservation;

    aigw_limit_stripe_at(&stripe, shared);
    slots = aigw_limit_table_get(stripe.table, HASHED(slots_key), now);
    tokens = aigw_limit_table_get(stripe.table, HASHED(tokens_key), now);
    slot = aigw_limit_stripe_charge(&stripe, slots, slots_key, NULL, 1, OWNER, now);
    reservation = aigw_limit_stripe_charge(&stripe, tokens, tokens_key, &rate, RESERVED, OWNER, now);
    aigw_limit_table_get(stripe.table, HASHED(new_key), now);
    aigw_limit_stripe_adjust(&stripe, slots, aigw_limit_ledger_find(stripe.ledger, slot), NULL, -1, now, now);
    aigw_limit_stripe_adjust(&stripe, tokens, aigw_limit_ledger_find(stripe.ledger, reservation), &rate, USED - RESERVED, now, now);
}

START_TEST(killed_at_any_instruction_nothing_is_half_done)
{
    aigw_limit_stripe_t stripe;

    step_through(change_all, look);
    ck_assert_int_gt(mended, 100);
    memcpy(copy, shared, size); /* and when it was not killed */
    check_mended();
    aigw_limit_stripe_at(&stripe, copy);
    ck_assert_int_eq(aigw_limit_table_find(stripe.table, HASHED(slots_key))->held, 1);
    ck_assert_int_eq(used_of(&stripe, tokens_key), BEFORE + USED);
    ck_assert_int_eq(used_of(&stripe, idle_key), -1);
}
END_TEST

static void repair_all(void)
{
    aigw_limit_stripe_t stripe;

    aigw_limit_stripe_at(&stripe, shared);
    aigw_limit_stripe_repair(&stripe);
}

START_TEST(killed_while_it_mends_the_next_one_mends)
{
    step_through(change_all, look);
    memcpy(shared, half_done, size);
    mended = 0;
    step_through(repair_all, look);
    ck_assert_int_gt(mended, 10);
}
END_TEST

Suite *suite_limit_stripe(void)
{
    Suite *suite = suite_create("limit_stripe");
    TCase *tc = tcase_create("limit_stripe");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, killed_at_any_instruction_nothing_is_half_done);
    tcase_add_test(tc, killed_while_it_mends_the_next_one_mends);
    suite_add_tcase(suite, tc);
    return suite;
}
