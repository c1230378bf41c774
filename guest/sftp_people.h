/* Names of users and groups, from the container's /etc/passwd and /etc/group. */
#ifndef SFTP_PEOPLE_H
#define SFTP_PEOPLE_H

#include "str.h"

enum { PERSON_NAME_SIZE = 64 };
enum people { USERS, GROUPS };

const char *name_of(enum people which, u32 id); /* NULL: none; valid until the next call */
bool home_of(const char *user, char home[4096]);

#endif
