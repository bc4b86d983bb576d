/* aigw_owners */
#include "suites.h"
#include "aigw_owners.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACES 3

static void *block;
static aigw_owners_t *owners;

static void setup(void)
{
    block = mmap(NULL, aigw_owners_size(PLACES), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(block, MAP_FAILED);
    ck_assert_int_eq(aigw_owners_init(&owners, block, PLACES), APR_SUCCESS);
}

static void teardown(void)
{
    munmap(block, aigw_owners_size(PLACES));
}

typedef struct child_t {
    pid_t pid;
    apr_uint32_t place;
    apr_uint64_t incarnation;
} child_t;

/* A child that joins and then ends like this, or waits to be killed. */
static child_t begin(void (*end)(void))
{
    child_t child, said;
    int fd[2];

    MUST(pipe(fd) == 0);
    child.pid = fork();
    if (!child.pid) {
        if (aigw_owners_join(owners, &child.place, &child.incarnation) != APR_SUCCESS || write(fd[1], &child, sizeof child) < 0) {
            _exit(1);
        }
        if (end) {
            end();
        }
        for (;;) {
            pause();
        }
    }
    MUST(read(fd[0], &said, sizeof said) == sizeof said);
    close(fd[0]);
    close(fd[1]);
    child.place = said.place;
    child.incarnation = said.incarnation;
    return child;
}

static void end(const child_t *child, int signal)
{
    if (signal) {
        kill(child->pid, signal);
    }
    MUST(waitpid(child->pid, NULL, 0) == child->pid);
}

static void ends_well(void)
{
    _exit(0);
}

static void crashes(void)
{
    signal(SIGSEGV, SIG_DFL);
    kill(getpid(), SIGSEGV);
}

/* As APR does at exit(): the kernel finds no mutex any more. */
static void unmaps(void)
{
    munmap(block, aigw_owners_size(PLACES));
    _exit(0);
}

static void leaves(void)
{
    aigw_owners_leave(owners, 0);
}

START_TEST(who_lives_is_not_dead)
{
    child_t child = begin(NULL);

    ck_assert_int_eq(aigw_owners_lives(owners, child.place, child.incarnation), 1);
    ck_assert_int_eq(aigw_owners_lives(owners, child.place, child.incarnation + 1), 0);
    ck_assert_int_eq(aigw_owners_lives(owners, child.place + 1, child.incarnation), 0);
    ck_assert_uint_eq(aigw_owners_dead(owners, child.place), 0);
    ck_assert_uint_eq(aigw_owners_count(owners), 1);
    end(&child, SIGKILL);
    ck_assert_uint_eq(aigw_owners_dead(owners, child.place), child.incarnation);
    ck_assert_uint_eq(aigw_owners_dead(owners, child.place), child.incarnation); /* until it is buried */
    ck_assert_int_eq(aigw_owners_lives(owners, child.place, child.incarnation), 0);
    aigw_owners_bury(owners, child.place);
    ck_assert_uint_eq(aigw_owners_dead(owners, child.place), 0);
    ck_assert_uint_eq(aigw_owners_count(owners), 0);
}
END_TEST

START_TEST(however_it_ends_it_is_dead)
{
    void (*const ends[])(void) = {ends_well, crashes, unmaps};
    apr_size_t i;

    for (i = 0; i < sizeof ends / sizeof *ends; i++) {
        child_t child = begin(ends[i]);

        end(&child, 0);
        ck_assert_uint_eq(child.place, 0); /* again */
        ck_assert_uint_eq(child.incarnation, i + 1);
        ck_assert_uint_eq(aigw_owners_dead(owners, 0), child.incarnation);
        aigw_owners_bury(owners, 0);
    }
}
END_TEST

START_TEST(who_has_left_is_dead_while_its_process_lives)
{
    child_t child = begin(leaves);

    while (!aigw_owners_dead(owners, child.place)) {
        usleep(100);
    }
    ck_assert_int_eq(kill(child.pid, 0), 0);
    end(&child, SIGKILL);
    ck_assert_uint_eq(aigw_owners_dead(owners, child.place), child.incarnation);
}
END_TEST

START_TEST(there_are_so_many_places)
{
    child_t child[PLACES];
    apr_uint32_t place;
    apr_uint64_t incarnation;
    int i;

    for (i = 0; i < PLACES; i++) {
        child[i] = begin(NULL);
        ck_assert_uint_eq(child[i].place, (unsigned)i);
    }
    ck_assert_int_eq(aigw_owners_join(owners, &place, &incarnation), APR_ENOSPC);
    end(&child[1], SIGKILL);
    ck_assert_int_eq(aigw_owners_join(owners, &place, &incarnation), APR_ENOSPC); /* not buried */
    ck_assert_uint_ne(aigw_owners_dead(owners, 1), 0);
    aigw_owners_bury(owners, 1);
    ck_assert_int_eq(aigw_owners_join(owners, &place, &incarnation), APR_SUCCESS);
    ck_assert_uint_eq(place, 1);
    ck_assert_uint_eq(aigw_owners_dead(owners, 1), 0); /* I live */
    aigw_owners_leave(owners, 1);
    ck_assert_uint_eq(aigw_owners_dead(owners, 1), incarnation);
    end(&child[0], SIGKILL);
    end(&child[2], SIGKILL);
}
END_TEST

Suite *suite_owners(void)
{
    Suite *suite = suite_create("owners");
    TCase *tc = tcase_create("owners");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, who_lives_is_not_dead);
    tcase_add_test(tc, however_it_ends_it_is_dead);
    tcase_add_test(tc, who_has_left_is_dead_while_its_process_lives);
    tcase_add_test(tc, there_are_so_many_places);
    suite_add_tcase(suite, tc);
    return suite;
}
