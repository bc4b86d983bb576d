#include "task_watch.h"
#include "aigw_own_pool.h"
#include "aigw_signals.h"

#include <ap_mpm.h>
#include <http_log.h>
#include <http_main.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

APLOG_USE_MODULE(aigw_tasks);

#define TICK     apr_time_from_msec(500)
#define LOOK_MAX 1000 /* of aigw_store_vt.task_look */
#define KEY      (1 + AIGW_TASK_ID)

APR_RING_HEAD(watches_t, aigw_task_watch_t);

/* One task, in one form. malloc'ed. */
typedef struct aigw_watched_t {
    char key[KEY + 1]; /* '0' + aigw_task_watch_e, and its id */
    char *owner;
    struct watches_t watches;
    aigw_task_news_t *news; /* the last; never NULL once it is in the table */
    int dirty;              /* to be looked at at once */
} watched_t;

static struct {
    apr_pool_t *pool; /* of the thread, the mutex, the hash */
    server_rec *server;
    const aigw_store_vt *vt;
    aigw_store_t *store;
    apr_thread_mutex_t *mutex; /* of all that follows, and of what hangs on it. Held for moments: the event loops ask, too */
    apr_thread_cond_t *news;
    apr_thread_t *thread; /* from the first watcher on */
    apr_hash_t *all;      /* watched_t by key */
    int dirty, stopping, end;
} table;

static void lock(sigset_t *before)
{
    aigw_signals_hold(before);
    apr_thread_mutex_lock(table.mutex);
}

static void unlock(const sigset_t *before)
{
    apr_thread_mutex_unlock(table.mutex);
    aigw_signals_release(before);
}

/* ------------------------------------------------------------------ news */

aigw_task_mark_t aigw_task_watch_mark(const aigw_task_t *task)
{
    return aigw_task_mark(task->claims, task->state, task->tokens, task->progress);
}

static const char *event_name(const aigw_task_mark_t *mark)
{
    static const char *const names[] = {"task.pending", "task.running", "task.completed", "task.failed", "task.cancelled"};

    return mark->state == AIGW_TASK_RUNNING && (mark->tokens || mark->permille) ? "task.progress" : names[mark->state];
}

/* malloc'ed, counted once. data: NULL: no text. */
static aigw_task_news_t *make_news(const aigw_task_mark_t *mark, int over, const char *event, const char *data)
{
    char id[AIGW_TASK_MARK_MAX];
    const apr_size_t max = data ? strlen(data) + strlen(event) + sizeof id + sizeof "id: \nevent: \ndata: \n\n" : 1;
    aigw_task_news_t *news = malloc(sizeof *news + max);

    if (!news) {
        return NULL;
    }
    news->refs = 1;
    news->mark = *mark;
    news->over = over;
    news->len = 0;
    if (data) {
        aigw_task_mark_write(mark, id);
        news->len = (apr_size_t)apr_snprintf(news->text, max, "id: %s\nevent: %s\ndata: %s\n\n", id, event, data);
    }
    return news;
}

static aigw_task_news_t *news_of(apr_pool_t *p, const aigw_task_t *task, aigw_task_watch_e what)
{
    const aigw_task_mark_t mark = aigw_task_watch_mark(task);
    const char *data = what == AIGW_WATCH_END ? NULL : aigw_task_text(p, task, what == AIGW_WATCH_JOB);
    aigw_task_news_t *news =
        data || what == AIGW_WATCH_END ? make_news(&mark, task->state > AIGW_TASK_RUNNING, event_name(&mark), data) : NULL;

    return news;
}

/* Its TTL ran out between two looks. An error as any, and no id: whoever asks again is told 410. */
static aigw_task_news_t *news_of_none(apr_pool_t *p, const aigw_task_mark_t *last, aigw_task_watch_e what)
{
    const char *data = aigw_tasks_core->error_json(
        p, aigw_tasks_core->error_make(p, HTTP_GONE, "gone", NULL, "This task is finished, and is not kept any more."));

    return make_news(last, 1, "error", what == AIGW_WATCH_END ? NULL : data);
}

/* Locked. */
static void drop(aigw_task_news_t *news)
{
    if (news && !--news->refs) {
        free(news);
    }
}

void aigw_task_watch_give(aigw_task_news_t *news)
{
    sigset_t before;

    lock(&before);
    drop(news);
    unlock(&before);
}

/* ------------------------------------------------------------------ who watches */

/* n: of a read or a write. */
static void check_event(ssize_t n)
{
    if (n < 0 && errno != EAGAIN) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, table.server, "AIGW0621: who watches a task cannot be woken");
    }
}

static void wake(const aigw_task_watch_t *watch)
{
    const apr_uint64_t one = 1;

    if (watch->fd >= 0) {
        check_event(write(watch->fd, &one, sizeof one));
    }
}

/* Locked. */
static void wake_all(const watched_t *watched)
{
    aigw_task_watch_t *watch;

    for (watch = APR_RING_FIRST(&watched->watches); watch != APR_RING_SENTINEL(&watched->watches, aigw_task_watch_t, link);
         watch = APR_RING_NEXT(watch, link)) {
        wake(watch);
    }
}

/* Takes the reference. Nobody is told what he knows, or what has been overtaken. Locked. */
static void tell(watched_t *watched, aigw_task_news_t *news)
{
    if (watched->news && (watched->news->over || (!news->over && aigw_task_mark_compare(&news->mark, &watched->news->mark) <= 0))) {
        drop(news);
        return;
    }
    drop(watched->news);
    watched->news = news;
    wake_all(watched);
}

static void free_watched(watched_t *watched)
{
    drop(watched->news);
    free(watched->owner);
    free(watched);
}

static void write_key(char key[KEY + 1], aigw_task_watch_e what, const char *id)
{
    key[0] = (char)('0' + what);
    apr_cpystrn(key + 1, id, AIGW_TASK_ID + 1);
}

static watched_t *make_watched(const char *key, const char *owner)
{
    watched_t *watched = calloc(1, sizeof *watched);

    if (watched && !(watched->owner = strdup(owner))) {
        free(watched);
        return NULL;
    }
    if (watched) {
        memcpy(watched->key, key, sizeof watched->key);
        APR_RING_INIT(&watched->watches, aigw_task_watch_t, link);
        apr_hash_set(table.all, watched->key, KEY, watched);
    }
    return watched;
}

static void *APR_THREAD_FUNC watch_main(apr_thread_t *thread, void *data);

/* Locked. */
static apr_status_t start_thread(void)
{
    apr_status_t rv = table.thread || table.end ? APR_SUCCESS : ap_thread_create(&table.thread, NULL, watch_main, NULL, table.pool);

    if (rv != APR_SUCCESS) {
        table.thread = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, table.server, "AIGW0620: no thread to look at the tasks that are watched");
    }
    return rv;
}

apr_status_t aigw_task_watch_begin(aigw_task_watch_t *watch, apr_pool_t *p, const aigw_task_t *task, aigw_task_watch_e what)
{
    aigw_task_news_t *news;
    watched_t *watched;
    char key[KEY + 1];
    apr_status_t rv;
    sigset_t before;

    if (!table.mutex) {
        return APR_ENOMEM;
    }
    news = news_of(p, task, what);
    write_key(key, what, task->id);
    lock(&before);
    rv = news ? start_thread() : APR_ENOMEM;
    if (rv == APR_SUCCESS) {
        watched = apr_hash_get(table.all, key, KEY);
        if (!watched && !(watched = make_watched(key, task->owner))) {
            rv = APR_ENOMEM;
        }
    }
    if (rv == APR_SUCCESS) {
        tell(watched, news);
        watch->of = watched;
        watch->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        APR_RING_ELEM_INIT(watch, link);
        APR_RING_INSERT_TAIL(&watched->watches, watch, aigw_task_watch_t, link);
        /* what happened while nobody looked: between the row that the watcher has and now */
        watched->dirty = table.dirty = 1;
        apr_thread_cond_signal(table.news);
    }
    else {
        drop(news);
    }
    unlock(&before);
    return rv;
}

aigw_task_news_t *aigw_task_watch_take(aigw_task_watch_t *watch, const aigw_task_mark_t *after, int *stopping)
{
    apr_uint64_t n;
    aigw_task_news_t *news;
    sigset_t before;

    if (watch->fd >= 0) {
        check_event(read(watch->fd, &n, sizeof n));
    }
    lock(&before);
    news = watch->of->news;
    if (after && !news->over && aigw_task_mark_compare(&news->mark, after) <= 0) {
        news = NULL;
    }
    if (news) {
        news->refs++;
    }
    *stopping = table.stopping;
    unlock(&before);
    return news;
}

void aigw_task_watch_end(aigw_task_watch_t *watch)
{
    sigset_t before;

    lock(&before);
    APR_RING_REMOVE(watch, link);
    if (APR_RING_EMPTY(&watch->of->watches, aigw_task_watch_t, link)) {
        apr_hash_set(table.all, watch->of->key, KEY, NULL);
        free_watched(watch->of);
    }
    if (watch->fd >= 0) {
        close(watch->fd); /* locked: whoever wakes must not find another's descriptor */
    }
    unlock(&before);
}

void aigw_task_watch_hint(const char *id)
{
    char key[KEY + 1];
    watched_t *watched;
    sigset_t before;
    int what;

    if (!table.mutex) {
        return;
    }
    lock(&before);
    for (what = AIGW_WATCH_TASK; what <= AIGW_WATCH_END && apr_hash_count(table.all); what++) {
        write_key(key, (aigw_task_watch_e)what, id);
        if ((watched = apr_hash_get(table.all, key, KEY)) != NULL) {
            watched->dirty = table.dirty = 1;
            apr_thread_cond_signal(table.news);
        }
    }
    unlock(&before);
}

/* ------------------------------------------------------------------ looking */

/* A task to be looked at; copies, for meanwhile nobody may watch it any more. */
typedef struct wanted_t {
    char key[KEY + 1];
    const char *owner;
    aigw_task_mark_t known;
} wanted_t;

/* Those to be looked at at once, or all; whose end is known needs no look. */
static wanted_t *gather(apr_pool_t *p, int everything, int *n)
{
    apr_hash_index_t *at;
    wanted_t *wanted;
    sigset_t before;

    *n = 0;
    lock(&before);
    wanted = apr_palloc(p, (apr_hash_count(table.all) + 1) * sizeof *wanted);
    for (at = apr_hash_first(NULL, table.all); at; at = apr_hash_next(at)) {
        watched_t *watched = apr_hash_this_val(at);

        if ((everything || watched->dirty) && !watched->news->over) {
            memcpy(wanted[*n].key, watched->key, sizeof watched->key);
            wanted[*n].owner = apr_pstrdup(p, watched->owner);
            wanted[(*n)++].known = watched->news->mark;
        }
        watched->dirty = 0;
    }
    table.dirty = 0;
    unlock(&before);
    return wanted;
}

/* NULL: nothing new, or nobody knows now. */
static aigw_task_news_t *compare(apr_pool_t *p, const wanted_t *wanted, const aigw_task_t *task)
{
    const aigw_task_watch_e what = (aigw_task_watch_e)(wanted->key[0] - '0');
    aigw_task_mark_t mark;
    apr_status_t rv = APR_NOTFOUND;

    if (task) {
        mark = aigw_task_watch_mark(task);
        if (aigw_task_mark_compare(&mark, &wanted->known) <= 0) {
            return NULL;
        }
        rv = APR_SUCCESS;
        if (task->state > AIGW_TASK_RUNNING && what != AIGW_WATCH_END) { /* the result, too */
            rv = table.vt->task_get(table.store, p, wanted->key + 1, wanted->owner, 1, &task);
        }
    }
    return rv == APR_SUCCESS                             ? news_of(p, task, what)
           : rv == APR_NOTFOUND || APR_STATUS_IS_EOF(rv) ? news_of_none(p, &wanted->known, what)
                                                         : NULL;
}

static void look_at(apr_pool_t *p, apr_pool_t *one, const wanted_t *wanted, int n)
{
    const aigw_task_t **tasks = apr_pcalloc(p, (apr_size_t)n * sizeof *tasks);
    const char **ids = apr_pcalloc(p, (apr_size_t)n * sizeof *ids);
    watched_t *watched;
    sigset_t before;
    int i;

    for (i = 0; i < n; i++) {
        ids[i] = wanted[i].key + 1;
    }
    if (table.vt->task_look(table.store, p, ids, n, tasks) != APR_SUCCESS) {
        return;
    }
    for (i = 0; i < n; i++) {
        aigw_task_news_t *news = compare(one, &wanted[i], tasks[i]);

        if (news) {
            lock(&before);
            if ((watched = apr_hash_get(table.all, wanted[i].key, KEY)) != NULL) {
                tell(watched, news);
            }
            else {
                drop(news);
            }
            unlock(&before);
            apr_pool_clear(one); /* a result may be large */
        }
    }
}

static void look(apr_pool_t *p, int everything)
{
    apr_pool_t *rows, *one;
    wanted_t *wanted;
    int i, n;

    apr_pool_create(&rows, p);
    apr_pool_create(&one, p);
    wanted = gather(p, everything, &n);
    for (i = 0; i < n; i += LOOK_MAX) {
        look_at(rows, one, wanted + i, n - i < LOOK_MAX ? n - i : LOOK_MAX);
        apr_pool_clear(rows);
    }
    apr_pool_clear(p);
}

/* ------------------------------------------------------------------ the thread */

/* Until somebody watches, something is to be looked at, or it is time. 0: the thread is to end. */
static int wait_a_while(apr_time_t looked)
{
    const apr_interval_time_t left = looked + TICK - aigw_clock_now();
    sigset_t before;
    int go_on;

    lock(&before);
    if (!table.end && !table.dirty) {
        if (!apr_hash_count(table.all)) {
            apr_thread_cond_wait(table.news, table.mutex);
        }
        else if (left > 0) {
            apr_thread_cond_timedwait(table.news, table.mutex, left);
        }
    }
    go_on = !table.end;
    unlock(&before);
    return go_on;
}

/* A child that is to end waits for its connections: those that only watch end now, and ask again elsewhere. */
static void stop_watching(void)
{
    apr_hash_index_t *at;
    sigset_t before;
    int state = 0;

    if (ap_mpm_query(AP_MPMQ_MPM_STATE, &state) != APR_SUCCESS || state != AP_MPMQ_STOPPING) {
        return;
    }
    lock(&before);
    table.stopping = 1;
    for (at = apr_hash_first(NULL, table.all); at; at = apr_hash_next(at)) {
        wake_all(apr_hash_this_val(at));
    }
    unlock(&before);
}

static void *APR_THREAD_FUNC watch_main(apr_thread_t *thread, void *data)
{
    apr_time_t looked = 0;
    apr_pool_t *p;

    apr_pool_create(&p, table.pool);
    while (wait_a_while(looked)) {
        const apr_time_t now = aigw_clock_now();
        const int everything = now - looked >= TICK;

        looked = everything ? now : looked;
        stop_watching();
        look(p, everything);
    }
    return NULL;
}

/* Before the store closes. */
static apr_status_t stop(void *data)
{
    sigset_t before;
    apr_status_t rv;

    lock(&before);
    table.end = table.stopping = 1;
    apr_thread_cond_signal(table.news);
    unlock(&before);
    if (table.thread) {
        apr_thread_join(&rv, table.thread);
    }
    return APR_SUCCESS;
}

void aigw_task_watch_child_init(apr_pool_t *pchild, server_rec *main_server)
{
    table.vt = aigw_tasks_core->store(&table.store);
    table.server = main_server;
    if (!table.vt || !(table.pool = aigw_own_pool(pchild)) || apr_thread_cond_create(&table.news, table.pool) != APR_SUCCESS ||
        apr_thread_mutex_create(&table.mutex, APR_THREAD_MUTEX_DEFAULT, table.pool) != APR_SUCCESS) {
        table.mutex = NULL;
        return;
    }
    table.all = apr_hash_make(table.pool);
    apr_pool_pre_cleanup_register(pchild, NULL, stop);
}
