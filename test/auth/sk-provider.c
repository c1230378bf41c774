/* A security key provider of OpenSSH (sk-api.h, version 10) for tests: passes each request on to a program. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sk_option;
struct sk_sign_response {
	uint8_t flags;
	uint32_t counter;
	uint8_t *sig_r;
	size_t sig_r_len;
	uint8_t *sig_s;
	size_t sig_s_len;
};

#define SSH_SK_ERR_GENERAL -1

uint32_t sk_api_version(void)
{
	return 0x000a0000;
}

static void hex(char *into, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sprintf(into + 2 * i, "%02x", bytes[i]);
}

static uint8_t *unhex(const char *text, size_t *length)
{
	size_t digits = strcmp(text, "-") == 0 ? 0 : strlen(text);
	uint8_t *bytes = calloc(1, digits / 2 + 1);

	for (size_t i = 0; bytes && i < digits / 2; i++) {
		unsigned byte = 0;
		sscanf(text + 2 * i, "%2x", &byte);
		bytes[i] = byte;
	}
	*length = digits / 2;
	return bytes;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *handle,
	size_t handle_len, uint8_t flags, const char *pin, struct sk_option **options, struct sk_sign_response **answer)
{
	static char command[65536], r[256], s[256];
	unsigned said_flags, counter;
	int length;
	FILE *program;

	if (data_len > 8192 || handle_len > 4096 || strpbrk(application, "'\\"))
		return SSH_SK_ERR_GENERAL;
	length = sprintf(command, COMMAND " %u '%s' %u ", alg, application, flags);
	hex(command + length, data, data_len);
	strcat(command, " ");
	hex(command + strlen(command), handle, handle_len);
	if (!(program = popen(command, "r")))
		return SSH_SK_ERR_GENERAL;
	length = fscanf(program, "%u %u %255s %255s", &said_flags, &counter, r, s);
	if (pclose(program) != 0 || length != 4 || !(*answer = calloc(1, sizeof(**answer))))
		return SSH_SK_ERR_GENERAL;
	(*answer)->flags = said_flags;
	(*answer)->counter = counter;
	(*answer)->sig_r = unhex(r, &(*answer)->sig_r_len);
	(*answer)->sig_s = unhex(s, &(*answer)->sig_s_len);
	return 0;
}

int sk_enroll(void)
{
	return SSH_SK_ERR_GENERAL;
}

int sk_load_resident_keys(void)
{
	return SSH_SK_ERR_GENERAL;
}
