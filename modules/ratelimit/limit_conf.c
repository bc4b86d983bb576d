#include "limit_conf.h"

#include <http_core.h>
#include <http_log.h>
#include <apr_strings.h>

#define ENTRIES     65536
#define ENTRIES_MIN 1024
#define ENTRIES_MAX 16777216

#define CONCURRENT_MAX 1000000
#define RESERVE_MAX    1000000000

static const char *const names[] = {"requests", "tokens", "input-tokens", "output-tokens", "concurrent"};

#define LEASE     apr_time_from_sec(60)
#define LEASE_MIN apr_time_from_sec(1)
#define LEASE_MAX apr_time_from_sec(3600)

#define NAMES (sizeof names / sizeof *names)

const char *aigw_limit_what_name(aigw_limit_what_e what)
{
    return names[what];
}

int aigw_limit_is_tokens(aigw_limit_what_e what)
{
    return what == AIGW_LIMIT_TOKENS || what == AIGW_LIMIT_INPUT_TOKENS || what == AIGW_LIMIT_OUTPUT_TOKENS;
}

const char *aigw_limit_title(apr_pool_t *p, const aigw_limit_t *limit)
{
    return limit->what == AIGW_LIMIT_CONCURRENT ? apr_psprintf(p, "%s %" APR_INT64_T_FMT, names[limit->what], limit->rate.amount)
                                                : apr_pstrcat(p, names[limit->what], " ", aigw_rate_format(p, &limit->rate), NULL);
}

/* ------------------------------------------------------------------ create and merge */

static const aigw_limit_said_t unsaid = {0, NULL, -1, -1, 0};

/* What is not said yet goes by this. */
static void fill(aigw_limit_said_t *said, const aigw_limit_said_t *by)
{
    if (!said->by) {
        said->by = by->by;
        said->header = by->header;
    }
    if (said->dry_run < 0) {
        said->dry_run = by->dry_run;
    }
    if (said->cached < 0) {
        said->cached = by->cached;
    }
    if (!said->reserve) {
        said->reserve = by->reserve;
    }
}

aigw_limit_said_t aigw_limit_said(const aigw_limit_member_t *member, const aigw_limit_said_t *around)
{
    aigw_limit_said_t said = member->limit->section->said;

    fill(&said, &member->said);
    if (around) {
        fill(&said, around);
    }
    return said;
}

void *aigw_limit_conf_server_create(apr_pool_t *p, server_rec *s)
{
    return apr_pcalloc(p, sizeof(aigw_limit_server_t));
}

void *aigw_limit_conf_dir_create(apr_pool_t *p, char *dir)
{
    aigw_limit_section_t *section = apr_pcalloc(p, sizeof *section);

    section->name = dir ? apr_pstrdup(p, dir) : "";
    section->said = unsaid;
    return section;
}

static apr_array_header_t *append(apr_pool_t *p, apr_array_header_t *outer, apr_array_header_t *inner)
{
    return outer && inner ? apr_array_append(p, outer, inner) : inner ? inner : outer;
}

/* Those of the inner section go by the outer one where they say nothing. In any order of merging: httpd puts locations together before the server comes around them. */
static apr_array_header_t *merge_limits(apr_pool_t *p, const aigw_limit_section_t *outer, const aigw_limit_section_t *inner)
{
    apr_array_header_t *limits;
    int i;

    if (!inner->limits) {
        return outer->limits;
    }
    limits = apr_array_make(p, inner->limits->nelts + (outer->limits ? outer->limits->nelts : 0), sizeof(aigw_limit_member_t));
    if (outer->limits) {
        apr_array_cat(limits, outer->limits);
    }
    for (i = 0; i < inner->limits->nelts; i++) {
        aigw_limit_member_t *member = apr_array_push(limits);

        *member = APR_ARRAY_IDX(inner->limits, i, aigw_limit_member_t);
        fill(&member->said, &outer->said);
    }
    return limits;
}

/* What is around holds as well: an inner section adds to it. */
void *aigw_limit_conf_dir_merge(apr_pool_t *p, void *base, void *add)
{
    const aigw_limit_section_t *outer = base, *inner = add;
    aigw_limit_section_t *section = apr_pmemdup(p, inner, sizeof *section);

    section->limits = merge_limits(p, outer, inner);
    section->exempt = append(p, outer->exempt, inner->exempt);
    fill(&section->said, &outer->said);
    return section;
}

int aigw_limit_conf_entries(const server_rec *main_server)
{
    const aigw_limit_server_t *conf = ap_get_module_config(main_server->module_config, &aigw_ratelimit_module);

    return conf->entries ? conf->entries : ENTRIES;
}

int aigw_limit_conf_redis(const server_rec *main_server)
{
    const aigw_limit_server_t *conf = ap_get_module_config(main_server->module_config, &aigw_ratelimit_module);

    return conf->redis;
}

apr_interval_time_t aigw_limit_conf_lease(const server_rec *main_server)
{
    const aigw_limit_server_t *conf = ap_get_module_config(main_server->module_config, &aigw_ratelimit_module);

    return conf->lease ? conf->lease : LEASE;
}

/* ------------------------------------------------------------------ AIGWLimit */

static int has_window(const aigw_limit_section_t *section, aigw_limit_what_e what, apr_interval_time_t window)
{
    int i;

    for (i = 0; section->limits && i < section->limits->nelts; i++) {
        const aigw_limit_t *limit = APR_ARRAY_IDX(section->limits, i, aigw_limit_member_t).limit;

        if (limit->what == what && limit->rate.window == window) {
            return 1;
        }
    }
    return 0;
}

static aigw_limit_t *add_limit(apr_pool_t *p, aigw_limit_section_t *section, aigw_limit_what_e what)
{
    aigw_limit_t *limit = apr_pcalloc(p, sizeof *limit);
    aigw_limit_member_t *member;

    if (!section->limits) {
        section->limits = apr_array_make(p, 4, sizeof(aigw_limit_member_t));
    }
    limit->what = what;
    limit->section = section;
    member = apr_array_push(section->limits);
    member->limit = limit;
    member->said = unsaid;
    return limit;
}

/* The settings behind the rates of a line. */
typedef struct line_t {
    aigw_rate_algorithm_e algorithm;
    apr_int64_t burst; /* 0: the amount */
} line_t;

static const char *read_setting(cmd_parms *cmd, const char *word, line_t *line)
{
    char *end;

    if (!strcmp(word, "algorithm=token-bucket")) {
        line->algorithm = AIGW_RATE_TOKEN_BUCKET;
        return NULL;
    }
    if (!strcmp(word, "algorithm=sliding-window")) {
        line->algorithm = AIGW_RATE_SLIDING_WINDOW;
        return NULL;
    }
    if (!strncmp(word, "burst=", 6)) {
        line->burst = apr_strtoi64(word + 6, &end, 10);
        return word[6] >= '0' && word[6] <= '9' && !*end && line->burst > 0 && line->burst <= AIGW_BUCKET_AMOUNT_MAX
                   ? NULL
                   : apr_psprintf(cmd->pool, "AIGWLimit: \"%s\": write a number such as burst=20", word);
    }
    return apr_psprintf(cmd->pool, "AIGWLimit: \"%s\" is none of algorithm=token-bucket, algorithm=sliding-window, burst=N", word);
}

static const char *add_rates(cmd_parms *cmd, aigw_limit_section_t *section, aigw_limit_what_e what, const char *args)
{
    apr_array_header_t *rates = apr_array_make(cmd->temp_pool, 2, sizeof(aigw_rate_t));
    line_t line = {AIGW_RATE_SLIDING_WINDOW, 0};
    const char *word, *err = NULL;
    int i;

    while (!err && *(word = ap_getword_conf(cmd->pool, &args))) {
        err = ap_strchr_c(word, '=') ? read_setting(cmd, word, &line) : aigw_rate_parse(cmd->pool, word, apr_array_push(rates));
    }
    if (err) {
        return strncmp(err, "AIGWLimit", 9) ? apr_pstrcat(cmd->pool, "AIGWLimit ", names[what], ": ", err, NULL) : err;
    }
    if (!rates->nelts) {
        return apr_psprintf(cmd->pool, "AIGWLimit %s: how many in what time? Write for example AIGWLimit %s 60/minute 1000/hour",
                            names[what], names[what]);
    }
    if (line.burst && line.algorithm != AIGW_RATE_TOKEN_BUCKET) {
        return "AIGWLimit: burst= is a token bucket's: write algorithm=token-bucket as well";
    }
    for (i = 0; i < rates->nelts; i++) {
        aigw_limit_t *limit;

        if (has_window(section, what, APR_ARRAY_IDX(rates, i, aigw_rate_t).window)) {
            return apr_psprintf(cmd->pool, "AIGWLimit %s: this section has a limit of that time already", names[what]);
        }
        limit = add_limit(cmd->pool, section, what);

        limit->rate = APR_ARRAY_IDX(rates, i, aigw_rate_t);
        limit->rate.algorithm = line.algorithm;
        limit->rate.burst = line.burst ? line.burst : limit->rate.amount;
    }
    return NULL;
}

static const char *add_concurrent(cmd_parms *cmd, aigw_limit_section_t *section, const char *args)
{
    const char *word = ap_getword_conf(cmd->pool, &args);
    char *end;
    const apr_int64_t n = apr_strtoi64(word, &end, 10);

    if (*args || end == word || *end || n < 1 || n > CONCURRENT_MAX) {
        return apr_psprintf(cmd->pool, "AIGWLimit concurrent: how many calls at a time? Write one number, 1 to %d: AIGWLimit concurrent 20",
                            CONCURRENT_MAX);
    }
    if (has_window(section, AIGW_LIMIT_CONCURRENT, 0)) {
        return "AIGWLimit concurrent: this section has one already";
    }
    add_limit(cmd->pool, section, AIGW_LIMIT_CONCURRENT)->rate.amount = n;
    return NULL;
}

static int is_in(const cmd_parms *cmd, const char *section)
{
    const ap_directive_t *parent = cmd->directive->parent;

    while (parent && ap_cstr_casecmp(parent->directive, section)) {
        parent = parent->parent;
    }
    return parent != NULL;
}

/* A model's section has no limits of its own: they would be the whole server's. */
static const char *in_model(const cmd_parms *cmd)
{
    return is_in(cmd, "<AIGWModel")
               ? apr_pstrcat(
                     cmd->pool, cmd->cmd->name,
                     " does not stand inside <AIGWModel>: to limit a model write AIGWLimit and AIGWLimitBy model in a <Location>, for each "
                     "user AIGWLimitBy user model",
                     NULL)
               : NULL;
}

static const char *set_limit(cmd_parms *cmd, void *dir, const char *args)
{
    aigw_limit_section_t *section = dir;
    const char *what = ap_getword_conf(cmd->pool, &args), *err = in_model(cmd);
    apr_size_t i;

    if (err) {
        return err;
    }
    section->tier = is_in(cmd, "<AIGWTier") ? 1 : 0;
    for (i = 0; i < NAMES; i++) {
        if (!strcmp(what, names[i])) {
            return i == AIGW_LIMIT_CONCURRENT ? add_concurrent(cmd, section, args) : add_rates(cmd, section, (aigw_limit_what_e)i, args);
        }
    }
    return apr_psprintf(cmd->pool,
                        "AIGWLimit: \"%s\" is none of requests, tokens, input-tokens, output-tokens, concurrent: write for example "
                        "AIGWLimit requests 60/minute",
                        what);
}

/* ------------------------------------------------------------------ whom, whether, how */

static const char *set_by(cmd_parms *cmd, void *dir, const char *arg)
{
    static const struct {
        const char *name;
        unsigned bit;
    } kinds[] = {
        {"address", AIGW_LIMIT_BY_ADDRESS}, {"user", AIGW_LIMIT_BY_USER}, {"key", AIGW_LIMIT_BY_KEY}, {"model", AIGW_LIMIT_BY_MODEL}};
    aigw_limit_section_t *section = dir;
    const char *err = in_model(cmd);
    apr_size_t i;

    if (err) {
        return err;
    }
    for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!strcmp(arg, kinds[i].name)) {
            section->said.by |= kinds[i].bit;
            return NULL;
        }
    }
    if (!strncmp(arg, "header:", 7) && arg[7] && !*ap_scan_http_token(arg + 7)) {
        if (section->said.header && ap_cstr_casecmp(section->said.header, arg + 7)) {
            return apr_psprintf(
                cmd->pool, "AIGWLimitBy: a section counts by one header, and this one has header:%s already: write a section inside of it",
                section->said.header);
        }
        section->said.by |= AIGW_LIMIT_BY_HEADER;
        section->said.header = arg + 7;
        return NULL;
    }
    return apr_psprintf(cmd->pool, "AIGWLimitBy: \"%s\" is none of address, user, key, model, header:NAME", arg);
}

static const char *set_mode(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_limit_section_t *section = dir;

    section->said.dry_run = !strcmp(arg, "dry-run") ? 1 : !strcmp(arg, "enforce") ? 0 : -1;
    return section->said.dry_run >= 0 ? in_model(cmd)
                                      : apr_psprintf(cmd->pool, "AIGWLimitMode: \"%s\" is neither enforce nor dry-run", arg);
}

static const char *set_cached(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_limit_section_t *section = dir;
    char *end;
    const apr_int64_t n = apr_strtoi64(arg, &end, 10);

    if (end == arg || (*end && strcmp(end, "%") != 0) || n < 0 || n > 100) {
        return apr_psprintf(cmd->pool, "AIGWLimitCached: \"%s\" is not a share from 0%% to 100%%", arg);
    }
    section->said.cached = (int)n;
    return in_model(cmd);
}

static const char *set_reserve(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_limit_section_t *section = dir;
    char *end;

    section->said.reserve = apr_strtoi64(arg, &end, 10);
    return end != arg && !*end && section->said.reserve >= 1 && section->said.reserve <= RESERVE_MAX
               ? in_model(cmd)
               : apr_psprintf(cmd->pool, "AIGWLimitReserve: \"%s\" is not a number of tokens, 1 to %d", arg, RESERVE_MAX);
}

static const char *add_exempt(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_limit_section_t *section = dir;
    const char *err = NULL;
    ap_expr_info_t *expr = ap_expr_parse_cmd(cmd, arg, 0, &err, NULL);

    if (err) {
        return apr_psprintf(
            cmd->pool, "AIGWLimitExempt: %s: write an expression such as \"-R '10.0.0.0/8'\" or \"%%{REMOTE_USER} == 'monitor'\"", err);
    }
    if (!section->exempt) {
        section->exempt = apr_array_make(cmd->pool, 2, sizeof(ap_expr_info_t *));
    }
    APR_ARRAY_PUSH(section->exempt, ap_expr_info_t *) = expr;
    return in_model(cmd);
}

static const char *set_entries(cmd_parms *cmd, void *dummy, const char *arg)
{
    aigw_limit_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_ratelimit_module);
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    char *end;
    apr_int64_t n = apr_strtoi64(arg, &end, 10);

    if (err) {
        return err;
    }
    if (*end || n < ENTRIES_MIN || n > ENTRIES_MAX) {
        return "AIGWLimitEntries: how many users, addresses and so on are counted at once, 1024 to 16777216";
    }
    conf->entries = (int)n;
    return NULL;
}

/* ------------------------------------------------------------------ where it is counted */

static const char *set_store(cmd_parms *cmd, void *dummy, const char *arg)
{
    aigw_limit_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_ratelimit_module);
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (err) {
        return err;
    }
    conf->redis = !strcmp(arg, "redis");
    return conf->redis || !strcmp(arg, "memory") ? NULL
                                                 : apr_psprintf(cmd->pool, "AIGWLimitStore: \"%s\" is neither memory nor redis", arg);
}

static const char *set_lease(cmd_parms *cmd, void *dummy, const char *arg)
{
    aigw_limit_server_t *conf = ap_get_module_config(cmd->server->module_config, &aigw_ratelimit_module);
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (err) {
        return err;
    }
    if (ap_timeout_parameter_parse(arg, &conf->lease, "s") != APR_SUCCESS || conf->lease < LEASE_MIN || conf->lease > LEASE_MAX) {
        return apr_psprintf(cmd->pool, "AIGWLimitLease: \"%s\" is no time from 1s to 1h: write for example 30s or 5min", arg);
    }
    return NULL;
}

const command_rec aigw_limit_conf_commands[] = {
    AP_INIT_RAW_ARGS("AIGWLimit", set_limit, NULL, RSRC_CONF | ACCESS_CONF,
                     "requests, tokens, input-tokens or output-tokens and rates such as 60/minute 1000/hour, or concurrent N"),
    AP_INIT_TAKE1("AIGWLimitStore", set_store, NULL, RSRC_CONF, "where it is counted: memory, or redis for many machines"),
    AP_INIT_TAKE1("AIGWLimitLease", set_lease, NULL, RSRC_CONF,
                  "how long Redis keeps what is reserved for a call of which it hears no more: 60s"),
    AP_INIT_ITERATE("AIGWLimitBy", set_by, NULL, RSRC_CONF | ACCESS_CONF,
                    "whom the limits of this section count: address, user, key, model, header:NAME"),
    AP_INIT_TAKE1("AIGWLimitMode", set_mode, NULL, RSRC_CONF | ACCESS_CONF, "enforce, or dry-run: count and log, refuse nothing"),
    AP_INIT_TAKE1("AIGWLimitCached", set_cached, NULL, RSRC_CONF | ACCESS_CONF,
                  "0% to 100%: how much an input token counts that the model server had in its cache"),
    AP_INIT_TAKE1("AIGWLimitReserve", set_reserve, NULL, RSRC_CONF | ACCESS_CONF,
                  "tokens kept for an answer where neither the request nor its model says how long it may be"),
    AP_INIT_TAKE1("AIGWLimitExempt", add_exempt, NULL, RSRC_CONF | ACCESS_CONF, "an expression; who fits it is not limited"),
    AP_INIT_TAKE1("AIGWLimitEntries", set_entries, NULL, RSRC_CONF, "how many users, addresses and so on are counted at once"),
    {.name = NULL}};
