/* text.h: what people read, in their own language (gettext, domain "selaras").
 *
 * Words of the protocol and the ledger (verdicts, rules, kinds, modes, names) are data: they stay as they are stored.
 */
#ifndef SELARAS_TEXT_H
#define SELARAS_TEXT_H

#include <libintl.h>

#define TEXT_DOMAIN "selaras"
#ifndef SELARAS_LOCALEDIR
#define SELARAS_LOCALEDIR "/usr/share/locale"
#endif

#define _(text) gettext(text)
/* Marks a string of a table, to be translated where it is shown. */
#define N_(text) text

/* For a daemon, whose log and answers are read by people. */
void text_start(void);

#endif
