/* SPDX-License-Identifier: BSD-2-Clause */
/* What a C program on the memory server does besides memory. It begins at `int main(int argc, char **argv)`, with its
   arguments from argv[1] on; what main returns is the exit status, 0 to 255. */
#ifndef KMALLOC_PROCESS_H
#define KMALLOC_PROCESS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Prints UTF-8 text on the console, with the program's name before each line. NULL prints nothing. */
void kmalloc_print(const char *text);
/* Ends the program. Everything it has goes back to the server. */
__attribute__((noreturn)) void kmalloc_exit(int status);

#ifdef __cplusplus
}
#endif

#endif /* KMALLOC_PROCESS_H */
