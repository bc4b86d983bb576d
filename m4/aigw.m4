# AIGW_APXS: finds apxs and takes from it what a libtool build needs.
AC_DEFUN([AIGW_APXS], [
AC_ARG_WITH([apxs],
  [AS_HELP_STRING([--with-apxs=PATH], [apxs of the httpd to build for])],
  [AS_CASE([$withval], [yes|no], [AC_MSG_ERROR([--with-apxs needs a path])], [APXS=$withval])],
  [AC_PATH_PROGS([APXS], [apxs apxs2], [])])
AS_IF([test ! -x "$APXS"], [AC_MSG_ERROR([no apxs: install apache2-dev (Debian) or httpd-devel, or pass --with-apxs=PATH])])
AC_SUBST([APXS])
HTTPD_CFLAGS="`$APXS -q EXTRA_CFLAGS`"
# -isystem: warnings are for our code, not for httpd's and APR's macros (clang has some for the rings)
HTTPD_CPPFLAGS="-isystem `$APXS -q INCLUDEDIR` `$APXS -q EXTRA_CPPFLAGS`"
HTTPD_VERSION="`$APXS -q HTTPD_VERSION 2>/dev/null`"
HTTPD="`$APXS -q SBINDIR`/`$APXS -q PROGNAME`"
HTTPD_LIBEXECDIR="`$APXS -q LIBEXECDIR`"
HTTPD_SYSCONFDIR="`$APXS -q SYSCONFDIR`"
AS_IF([test -z "$HTTPD_VERSION"], [HTTPD_VERSION=`$HTTPD -v | sed -n 's,^Server version: Apache/\([[0-9.]]*\).*,\1,p'`])
AC_SUBST([HTTPD_CFLAGS]) AC_SUBST([HTTPD_CPPFLAGS]) AC_SUBST([HTTPD_VERSION])
AC_SUBST([HTTPD]) AC_SUBST([HTTPD_LIBEXECDIR])
AC_ARG_WITH([moduledir],
  [AS_HELP_STRING([--with-moduledir=DIR], [where modules go @<:@apxs -q LIBEXECDIR@:>@])],
  [moddir=$withval], [moddir=$HTTPD_LIBEXECDIR])
AC_SUBST([moddir])
AC_ARG_WITH([modsavailabledir],
  [AS_HELP_STRING([--with-modsavailabledir=DIR], [where a2enmod's .load and .conf files go @<:@SYSCONFDIR/mods-available if that exists, else $(datadir)/mod_aigw@:>@])],
  [modsavailabledir=$withval],
  [AS_IF([test -d "$HTTPD_SYSCONFDIR/mods-available"], [modsavailabledir=$HTTPD_SYSCONFDIR/mods-available],
                                                      [modsavailabledir='${datadir}/mod_aigw/mods-available'])])
AC_SUBST([modsavailabledir])
])
AC_DEFUN([AIGW_WARNINGS], [
AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors])])
WARN_CFLAGS="-std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wpointer-arith -Wformat=2 -Wwrite-strings -Wvla"
AS_IF([test "x$enable_werror" = xyes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
AC_SUBST([WARN_CFLAGS])
])
AC_DEFUN([AIGW_SANITIZERS], [
AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers], [AddressSanitizer and UndefinedBehaviorSanitizer])])
SAN_CFLAGS= ; SAN_LDFLAGS= ; SAN_PRELOAD=
AS_IF([test "x$enable_sanitizers" = xyes], [
  SAN_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
  SAN_LDFLAGS="-fsanitize=address,undefined"
  SAN_PRELOAD="`$CC -print-file-name=libasan.so`"])
AC_SUBST([SAN_CFLAGS]) AC_SUBST([SAN_LDFLAGS]) AC_SUBST([SAN_PRELOAD])
])
