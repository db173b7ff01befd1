#include "shell/text.h"

#include <locale.h>

/* Numbers and letters stay those of C: a daemon reads and writes for machines too. */
void text_start(void)
{
    setlocale(LC_MESSAGES, "");
    bindtextdomain(TEXT_DOMAIN, SELARAS_LOCALEDIR);
    bind_textdomain_codeset(TEXT_DOMAIN, "UTF-8");
    textdomain(TEXT_DOMAIN);
}
