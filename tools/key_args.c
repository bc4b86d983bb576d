#include "key_args.h"
#include "aigw_rfc3339.h"
#include "key_say.h"

#include <apr_strings.h>

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define LONG 256 /* what getopt_long() tells an option of one letter by */

static const struct option options[] = {
    {"expires", required_argument, NULL, LONG + 'e'}, {"file", required_argument, NULL, LONG + 'f'},
    {"help", no_argument, NULL, LONG + 'h'},          {"id", required_argument, NULL, LONG + 'i'},
    {"json", no_argument, NULL, LONG + 'j'},          {"model", required_argument, NULL, LONG + 'm'},
    {"note", required_argument, NULL, LONG + 'n'},    {"scope", required_argument, NULL, LONG + 's'},
    {"tier", required_argument, NULL, LONG + 't'},    {"user", required_argument, NULL, LONG + 'u'},
    {"version", no_argument, NULL, LONG + 'V'},       {NULL, 0, NULL, 0},
};

static const struct command_t {
    const char *name;
    key_command_e command;
    const char *options; /* the letters above that it takes */
    int takes_id;
} commands[] = {
    {"create", KEY_CREATE, "hVfuitsmen", 0},
    {"list", KEY_LIST, "hVfj", 0},
    {"disable", KEY_DISABLE, "hVf", 1},
    {"enable", KEY_ENABLE, "hVf", 1},
    {"rotate", KEY_ROTATE, "hVf", 1},
    {"--help", KEY_HELP, "", 0},
    {"-h", KEY_HELP, "", 0},
    {"help", KEY_HELP, "", 0},
    {"--version", KEY_VERSION, "", 0},
};

static const struct command_t *command_of(const char *name)
{
    apr_size_t i;

    for (i = 0; name && i < sizeof commands / sizeof *commands; i++) {
        if (!strcmp(name, commands[i].name)) {
            return &commands[i];
        }
    }
    return NULL;
}

static const char *name_of(int letter)
{
    const struct option *o;

    for (o = options; o->name && o->val != LONG + letter; o++) {
    }
    return o->name;
}

/* "90d", "12h" or a date. Six digits of days are less than 2738 years: the year keeps its four digits. */
static int read_expires(apr_time_t *expires, const char *s, apr_time_t now)
{
    apr_size_t n = strspn(s, "0123456789");

    if (n > 0 && n <= 6 && (s[n] == 'd' || s[n] == 'h') && !s[n + 1]) {
        *expires = now + apr_time_from_sec(atol(s) * (s[n] == 'd' ? 86400 : 3600));
    }
    else if (aigw_rfc3339_parse(s, expires) != APR_SUCCESS) {
        return key_misuse("--expires must be a date such as 2027-01-31T00:00:00Z, or days or hours from now, such as 90d or 12h.");
    }
    return *expires > now ? KEY_OK : key_misuse("--expires must be in the future.");
}

static void add(const apr_array_header_t **names, const char *name, apr_pool_t *p)
{
    apr_array_header_t *more = *names ? apr_array_copy(p, *names) : apr_array_make(p, 4, sizeof(const char *));

    APR_ARRAY_PUSH(more, const char *) = name;
    *names = more;
}

/* What may be in the file is known to aigw_key_line_write(); the rules for a user are those for all names. */
static int check_name(int letter, const char *name, apr_pool_t *p)
{
    aigw_key_t key = {.id = "id", .user = name};

    return aigw_key_line_write(p, &key) ? KEY_OK
                                        : key_misuse("--%s must be 1 to 256 bytes of UTF-8 without control characters.", name_of(letter));
}

static int read_option(key_args_t *args, int letter, apr_time_t now, apr_pool_t *p)
{
    if (strchr("mnstu", letter) && check_name(letter, optarg, p)) {
        return KEY_MISUSE;
    }
    switch (letter) {
    case 'e':
        return read_expires(&args->key.expires, optarg, now);
    case 'f':
        args->file = optarg;
        break;
    case 'h':
        args->command = KEY_HELP;
        break;
    case 'V':
        args->command = KEY_VERSION;
        break;
    case 'i':
        args->key.id = optarg;
        break;
    case 'j':
        args->json = 1;
        break;
    case 'm':
        add(&args->key.models, optarg, p);
        break;
    case 'n':
        args->key.note = optarg;
        break;
    case 's':
        add(&args->key.scopes, optarg, p);
        break;
    case 't':
        args->key.tier = optarg;
        break;
    case 'u':
        args->key.user = optarg;
        break;
    default:
        break;
    }
    return KEY_OK;
}

/* Up to its "=": what follows might be a secret. */
static const char *option_at(const char *argument, apr_pool_t *p)
{
    return apr_pstrmemdup(p, argument, strcspn(argument, "="));
}

static int read_options(key_args_t *args, const struct command_t *command, int argc, char *const *argv, apr_time_t now, apr_pool_t *p)
{
    int letter, rc;

    opterr = 0;
    optind = 1;
    while ((letter = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (letter == ':') {
            return key_misuse("%s needs a value.", option_at(argv[optind - 1], p));
        }
        if (letter == '?') {
            return optopt > LONG ? key_misuse("--%s takes no value.", name_of(optopt - LONG))
                   : optopt      ? key_misuse("There are no options of one letter.")
                                 : key_misuse("There is no option %s.", option_at(argv[optind - 1], p));
        }
        letter -= LONG;
        if (!strchr(command->options, letter)) {
            return key_misuse("\"%s\" does not take --%s.", command->name, name_of(letter));
        }
        rc = read_option(args, letter, now, p);
        if (rc || args->command == KEY_HELP || args->command == KEY_VERSION) {
            return rc;
        }
    }
    return KEY_OK;
}

static int check_id(const char *id)
{
    return aigw_api_key_id_valid(id)
               ? KEY_OK
               : key_misuse("An ID is 1 to %d letters, digits, dots or dashes. It is the part of a key between its first two "
                            "underscores, not the key.",
                            AIGW_API_KEY_ID_MAX);
}

static int check_new_key(const key_args_t *args, apr_pool_t *p)
{
    aigw_key_t key = args->key;

    if (!key.user) {
        return key_misuse("create needs --user.");
    }
    if (key.id && check_id(key.id)) {
        return KEY_MISUSE;
    }
    key.id = key.id ? key.id : "id";
    return aigw_key_line_write(p, &key)
               ? KEY_OK
               : key_misuse("The options are too long together: a line of the key file has up to %d bytes.", AIGW_KEY_LINE_MAX);
}

int key_args_read(key_args_t *args, int argc, char *const *argv, apr_time_t now, apr_pool_t *p)
{
    const struct command_t *command = command_of(argc > 1 ? argv[1] : NULL);
    int ids;

    memset(args, 0, sizeof *args);
    if (!command) {
        return key_misuse("The first argument must be create, list, disable, enable or rotate.");
    }
    args->command = command->command;
    if (read_options(args, command, argc - 1, argv + 1, now, p)) {
        return KEY_MISUSE;
    }
    if (args->command == KEY_HELP || args->command == KEY_VERSION) {
        return KEY_OK;
    }
    if (!args->file || !*args->file) {
        return key_misuse("%s needs --file, the gateway's key file.", command->name);
    }
    ids = argc - 1 - optind;
    if (ids != command->takes_id) {
        return command->takes_id ? key_misuse("%s needs one ID.", command->name)
                                 : key_misuse("%s takes nothing but options.", command->name);
    }
    if (command->takes_id) {
        args->key.id = argv[1 + optind];
        return check_id(args->key.id);
    }
    return args->command == KEY_CREATE ? check_new_key(args, p) : KEY_OK;
}
