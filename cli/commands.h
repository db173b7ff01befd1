/* commands.h: the subcommands of `selaras`, each in the file of its subject. */
#ifndef SELARAS_COMMANDS_H
#define SELARAS_COMMANDS_H

#include "cli/call.h"

int status_run(struct call *call); /* status.c */

int log_run(struct call *call); /* log.c */

int record_run(struct call *call); /* record.c */

int explain_run(struct call *call);     /* explain.c */
int record_same_run(struct call *call); /* same.c */
int record_different_run(struct call *call);

int key_new_run(struct call *call); /* key.c */
int key_show_run(struct call *call);
int key_enrol_run(struct call *call);
int key_revoke_run(struct call *call);
int key_list_run(struct call *call);
/* What an agency's name may be, said here before a daemon refuses it. */
int agency_name_check(const char *name, struct error *err);

int agency_resume_run(struct call *call);
int agency_reload_run(struct call *call);
int agency_mode_run(struct call *call); /* agency.c */

int preview_run(struct call *call); /* preview.c */

int parked_list_run(struct call *call); /* parked.c */
int parked_retry_run(struct call *call);
int parked_close_run(struct call *call);

int hold_list_run(struct call *call); /* hold.c */
int hold_show_run(struct call *call);
int hold_release_run(struct call *call);
int hold_reject_run(struct call *call);

int check_run(struct call *call); /* check.c */
int check_catalog_run(struct call *call);
int check_mapping_run(struct call *call);

#endif
