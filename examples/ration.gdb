# gdb -x ration.gdb --args ration run ... -- PROGRAM      (docs/debugging.md)

# A page that comes in is a signal, and some system calls are. With --fault segv: SIGSEGV, too.
handle SIGBUS SIGSYS nostop noprint pass

# The launcher starts the program.
set follow-fork-mode child
set breakpoint pending on

define ration-in
	call (int)memcmp((const void *)($arg0), (const void *)($arg0), (unsigned long)($arg1))
end
document ration-in
ration-in ADDRESS BYTES: have the program touch this memory, so that what is out comes in.
gdb cannot read pages that are out ("Cannot access memory").
end
