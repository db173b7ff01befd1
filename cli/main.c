/* selaras: the command of the sysadmin and the auditor. */
#include "cli/commands.h"
#include "cli/pager.h"
#include "shell/text.h"

#include <locale.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FILTERS (OPTION(AGENCY) | OPTION(SINCE) | OPTION(UNTIL) | OPTION(VERDICT) | OPTION(KIND) | OPTION(LIMIT))

static const struct command commands[] = {
    { "status", "", 0, 0, status_run, N_("who is in step, who is not, and what to do"), NEEDS_DAEMON, 0 },
    { "log", "[KEY]", 0, 1, log_run, N_("every change and every decision, as the audit log has them"), NEEDS_DATABASE,
      FILTERS | OPTION(ALL) | OPTION(JSON_LINES) | OPTION(NO_PAGER) | OPTION(RECORD) | OPTION(RECORD_NUMBER) |
          OPTION(REVEAL) | OPTION(SOCKET) },
    { "record", "TYPE KEY", 2, 2, record_run, N_("one record: its values, its history, and where each has arrived"),
      NEEDS_DATABASE, OPTION(REVEAL) | OPTION(LIMIT) | OPTION(SOCKET) },
    { "explain", "TYPE KEY [FIELD]", 2, 3, explain_run,
      N_("why a value is what it is, whose it overruled, and whom it has reached"), NEEDS_DATABASE,
      OPTION(REVEAL) | OPTION(SOCKET) },
    { "record same", "TYPE KEEP OTHER", 3, 3, record_same_run,
      N_("say that two records are one: KEEP stands, OTHER becomes it"), NEEDS_BROKER | NEEDS_DATABASE,
      OPTION(GROUND) | OPTION(YES) },
    { "record different", "TYPE KEEP OTHER", 3, 3, record_different_run,
      N_("say that two records are not one: undoes \"same\", or is remembered"), NEEDS_BROKER | NEEDS_DATABASE,
      OPTION(GROUND) },
    { "key new", "FILE", 1, 1, key_new_run, N_("make a key pair and print its public key"), NEEDS_NOTHING, 0 },
    { "key show", "FILE", 1, 1, key_show_run, N_("print the public key of a key file"), NEEDS_NOTHING, 0 },
    { "key enrol", "AGENCY HEX", 2, 2, key_enrol_run, N_("let an agency in by its public key"), NEEDS_BROKER, 0 },
    { "key revoke", "AGENCY", 1, 1, key_revoke_run, N_("shut an agency out"), NEEDS_BROKER, 0 },
    { "key list", "", 0, 0, key_list_run, N_("the agencies and their public keys"), NEEDS_BROKER, 0 },
    { "agency resume", "NAME", 1, 1, agency_resume_run,
      N_("let an agency go on whose changes the broker's database refused"), NEEDS_BROKER, OPTION(GROUND) },
    { "agency reload", "NAME", 1, 1, agency_reload_run,
      N_("load an agency anew whose history is in doubt, or changes of which were lost"), NEEDS_BROKER,
      OPTION(GROUND) },
    { "agency mode", "NAME observe|publish|full", 2, 2, agency_mode_run,
      N_("whether an agency only shows what it has, is heard, or is fed too"), NEEDS_BROKER,
      OPTION(GROUND) | OPTION(TABLE) },
    { "preview", "AGENCY", 1, 1, preview_run, N_("what would change if an agency that observes took part"),
      NEEDS_BROKER, OPTION(TABLE) | OPTION(SAMPLES) },
    { "hold list", "", 0, 0, hold_list_run, N_("changes that wait for a decision"), NEEDS_DATABASE, OPTION(AGENCY) },
    { "hold show", "NUMBER", 1, 1, hold_show_run, N_("one hold: what it is, how much of it, some of it"),
      NEEDS_DATABASE, OPTION(LIMIT) },
    { "hold release", "NUMBER", 1, 1, hold_release_run, N_("let held changes take effect, as the rules decide"),
      NEEDS_BROKER, OPTION(GROUND) | OPTION(RECORDS) },
    { "hold reject", "NUMBER", 1, 1, hold_reject_run, N_("put held changes back at their agency"), NEEDS_BROKER,
      OPTION(GROUND) | OPTION(RECORDS) },
    { "parked list", "", 0, 0, parked_list_run, N_("records that an agency's database refused"),
      NEEDS_DAEMON | NEEDS_DATABASE, OPTION(AGENCY) | OPTION(LIMIT) },
    { "parked retry", "RECORD|all", 1, 1, parked_retry_run, N_("try a parked record again, at its agency"),
      NEEDS_DAEMON, 0 },
    { "parked close", "RECORD WHY", 2, 2, parked_close_run, N_("give a parked record up, at its agency"), NEEDS_DAEMON,
      0 },
    { "check", "", 0, 0, check_run, N_("check a configuration and all it names before a service starts"), NEEDS_NOTHING,
      OPTION(BROKER_FILE) | OPTION(AGENT_FILE) },
    { "check catalog", "FILE", 1, 1, check_catalog_run, N_("check a catalog alone"), NEEDS_NOTHING, 0 },
    { "check mapping", "AGENTFILE", 1, 1, check_mapping_run,
      N_("check an agency's mapping against a catalog and its own tables, with a row both ways"), NEEDS_NOTHING,
      OPTION(CATALOG_FILE) | OPTION(OFFLINE) | OPTION(REVEAL) },
    { 0 },
};

int main(int argc, char **argv)
{
    struct arena *arena = arena_new();
    struct call call;
    int status;

    setlocale(LC_ALL, "");
    bindtextdomain(TEXT_DOMAIN, SELARAS_LOCALEDIR);
    textdomain(TEXT_DOMAIN);
    status = call_parse(commands, argc, argv, arena, &call);
    if (status < 0)
        status = call.command->run(&call);
    arena_free(&arena);
    if (pager_end())
        return status;
    if (fflush(stdout) == EOF || ferror(stdout)) {
        perror("selaras");
        return STATUS_WRONG;
    }
    return status;
}
