#include "capacity.h"
#include "conf.h"
#include "model_conf.h"
#include "park.h"

#include <ap_mpm.h>
#include <http_config.h>
#include <http_log.h>
#include <sys/resource.h>

APLOG_USE_MODULE(aigw);

#define STREAMS_EXPECTED 500 /* fewer open connections a child than that are worth a warning */
#define FILES_A_STREAM   3   /* client, eventfd, upstream */
#define FILES_ELSE       200 /* logs, listeners, modules, idle connections to upstreams */
#define FACTOR_DEFAULT   2   /* of AsyncRequestWorkerFactor */

/* The last of a directive at the top level of the configuration; NULL: httpd's default holds. */
static const char *directive(const char *name)
{
    const ap_directive_t *d;
    const char *args = NULL;

    for (d = ap_conftree; d; d = d->next) {
        if (!ap_cstr_casecmp(d->directive, name)) {
            args = d->args;
        }
    }
    return args;
}

/* Our own share: the soft limit of open files goes up to the hard one. Returns what holds then. */
static apr_int64_t raise_files(server_rec *s)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl)) {
        return -1;
    }
    if (rl.rlim_cur < rl.rlim_max) {
        rlim_t before = rl.rlim_cur;

        rl.rlim_cur = rl.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &rl)) {
            rl.rlim_cur = before;
        }
    }
    return rl.rlim_cur == RLIM_INFINITY ? APR_INT64_MAX : (apr_int64_t)rl.rlim_cur;
}

static void check_connections(server_rec *s, int threads, apr_int64_t files)
{
    const char *said = directive("AsyncRequestWorkerFactor");
    double factor = said ? strtod(said, NULL) : FACTOR_DEFAULT;
    apr_int64_t connections = threads + (apr_int64_t)(threads * factor);

    if (connections < STREAMS_EXPECTED) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "AIGW0190: a child takes at most %" APR_INT64_T_FMT
                     " connections (ThreadsPerChild %d, AsyncRequestWorkerFactor %g), open answers included: "
                     "for 1000 streams a child set 'AsyncRequestWorkerFactor %d'",
                     connections, threads, factor, 1000 / (threads ? threads : 1) + 1);
    }
    if (files >= 0 && connections < 100000 && files < connections * FILES_A_STREAM + FILES_ELSE) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "AIGW0192: %" APR_INT64_T_FMT " open files are not enough for %" APR_INT64_T_FMT
                     " connections a child (%d each): raise the hard limit "
                     "(LimitNOFILE= of the systemd unit, APACHE_ULIMIT_MAX_FILES in /etc/apache2/envvars) to %" APR_INT64_T_FMT,
                     files, connections, FILES_A_STREAM, connections * FILES_A_STREAM + FILES_ELSE);
    }
}

static void check_spare(server_rec *s, int threads, int children)
{
    int spare = 0;

    if (children > 1 && ap_mpm_query(AP_MPMQ_MAX_SPARE_THREADS, &spare) == APR_SUCCESS && spare > 0 && spare < threads * children) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "AIGW0191: MaxSpareThreads %d is less than MaxRequestWorkers: a child that is full of open answers looks idle and is "
                     "retired (its answers go on): set "
                     "'MaxSpareThreads %d'",
                     spare, threads * children);
    }
}

void aigw_capacity_check(apr_pool_t *ptemp, server_rec *main_server)
{
    apr_int64_t files = raise_files(main_server);
    int threads = 0, children = 0;

    if (!aigw_model_count(main_server)) {
        return; /* loaded, but not in use */
    }
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &children);
    if (!aigw_park_supported()) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, main_server,
                     "AIGW0193: with this MPM each open answer needs a thread or process of its own (%d in all): the event MPM of httpd "
                     "2.4.63 or later does not",
                     children * (threads ? threads : 1));
        return;
    }
    check_connections(main_server, threads, files);
    check_spare(main_server, threads, children);
}
