#include "stream_conf.h"
#include "stream.h"
#include "aigw_rfc3339.h"

#include <apr_strings.h>
#include <apr_time.h>

#define UNSET           (-1)
#define DEFAULT_VERSION 2

void *aigw_stream_conf_create(apr_pool_t *p, char *dir)
{
    aigw_stream_conf_t *conf = apr_pcalloc(p, sizeof *conf);

    conf->generate_version = UNSET;
    conf->deprecated = UNSET;
    return conf;
}

void *aigw_stream_conf_merge(apr_pool_t *p, void *base, void *add)
{
    const aigw_stream_conf_t *outer = base, *inner = add;
    aigw_stream_conf_t *conf = apr_pmemdup(p, inner, sizeof *conf);

    if (inner->generate_version == UNSET) {
        conf->generate_version = outer->generate_version;
    }
    if (inner->deprecated == UNSET) {
        conf->deprecated = outer->deprecated;
        conf->deprecation = outer->deprecation;
        conf->sunset = outer->sunset;
        conf->link = outer->link;
    }
    return conf;
}

int aigw_stream_conf_generate_version(request_rec *r)
{
    const aigw_stream_conf_t *conf = ap_get_module_config(r->per_dir_config, &aigw_stream_module);

    return conf->generate_version == UNSET ? DEFAULT_VERSION : conf->generate_version;
}

int aigw_stream_conf_deprecation(request_rec *r)
{
    const aigw_stream_conf_t *conf = ap_get_module_config(r->per_dir_config, &aigw_stream_module);

    if (conf->deprecated == 1) {
        apr_table_setn(r->err_headers_out, "Deprecation", conf->deprecation);
        apr_table_setn(r->err_headers_out, "Sunset", conf->sunset);
        if (conf->link) {
            apr_table_setn(r->err_headers_out, "Link", conf->link);
        }
    }
    return DECLINED;
}

static const char *set_generate_version(cmd_parms *cmd, void *dir, const char *arg)
{
    aigw_stream_conf_t *conf = dir;

    if (strcmp(arg, "1") && strcmp(arg, "2")) {
        return apr_psprintf(cmd->pool, "AIGWGenerateVersion: \"%s\" is no version: write 1 (answers {text}) or 2 (answers {text, meta})",
                            arg);
    }
    conf->generate_version = arg[0] - '0';
    return NULL;
}

/* Midnight UTC of a day of the calendar written YYYY-MM-DD. */
static int read_date(apr_pool_t *p, const char *s, apr_time_t *t)
{
    return strlen(s) == 10 && aigw_rfc3339_parse(apr_pstrcat(p, s, "T00:00:00Z", NULL), t) == APR_SUCCESS;
}

/* May it stand between the angle brackets of a Link field? (RFC 3986: printable ASCII without these) */
static int is_uri_reference(const char *s)
{
    const char *c;

    for (c = s; *c; c++) {
        if (*c <= ' ' || *c >= 0x7F || strchr("<>\"\\^`{|}", *c)) {
            return 0;
        }
    }
    return c > s;
}

static const char *set_deprecation(cmd_parms *cmd, void *dir, const char *since, const char *sunset, const char *successor)
{
    static const char remedy[] =
        "write AIGWDeprecation 2025-01-31 2026-01-31 /path/of/successor (successor optional), or AIGWDeprecation off";
    aigw_stream_conf_t *conf = dir;
    apr_time_t from, until;
    char *date;

    if (!sunset) {
        if (strcasecmp(since, "off")) {
            return apr_psprintf(cmd->pool, "AIGWDeprecation: the day of the sunset is missing: %s", remedy);
        }
        conf->deprecated = 0;
        return NULL;
    }
    if (!read_date(cmd->pool, since, &from) || !read_date(cmd->pool, sunset, &until)) {
        return apr_psprintf(cmd->pool, "AIGWDeprecation: \"%s\" is no day written YYYY-MM-DD: %s",
                            read_date(cmd->pool, since, &from) ? sunset : since, remedy);
    }
    if (until < from) {
        return apr_psprintf(cmd->pool, "AIGWDeprecation: the sunset %s is before the deprecation %s: write the earlier day first", sunset,
                            since);
    }
    if (successor && !is_uri_reference(successor)) {
        return apr_psprintf(cmd->pool, "AIGWDeprecation: \"%s\" is no address: write a path or URL, other characters percent-encoded",
                            successor);
    }
    date = apr_palloc(cmd->pool, APR_RFC822_DATE_LEN);
    apr_rfc822_date(date, until);
    conf->deprecated = 1;
    conf->deprecation = apr_psprintf(cmd->pool, "@%" APR_TIME_T_FMT, apr_time_sec(from));
    conf->sunset = date;
    conf->link = successor ? apr_psprintf(cmd->pool, "<%s>; rel=\"successor-version\"", successor) : NULL;
    return NULL;
}

const command_rec aigw_stream_conf_commands[] = {
    AP_INIT_TAKE1("AIGWGenerateVersion", set_generate_version, NULL, RSRC_CONF | ACCESS_CONF,
                  "1 or 2: what the handler aigw-generate answers here; default 2"),
    AP_INIT_TAKE123("AIGWDeprecation", set_deprecation, NULL, RSRC_CONF | ACCESS_CONF,
                    "<deprecated since> <sunset> [<successor>], or off: Deprecation, Sunset and Link on every answer; days as YYYY-MM-DD"),
    {.name = NULL}};
