#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cstddef>
#include <string>

/// @file
/// A process that the kernel denies a system call, as container runtimes do it.

namespace io_test {

template <std::size_t Size>
bool install(sock_filter const (&code)[Size]) {
  sock_fprog const program{Size, const_cast<sock_filter*>(code)};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// Where a filter finds the low 32 bits of a call's second argument.
inline constexpr unsigned low_half_of_second =
    offsetof(seccomp_data, args) + sizeof(__u64) + (std::endian::native == std::endian::big ? sizeof(__u32) : 0);

/// From now on `number` fails with `cause` in this process. Cannot be undone. False if the kernel has no such filters.
inline bool deny(long number, int cause) {
  sock_filter const code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(cause)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return install(code);
}

/// The same for calls of `number` whose second argument is `what`.
inline bool deny(long number, unsigned what, int cause) {
  sock_filter const code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low_half_of_second),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, what, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(cause)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return install(code);
}

/// What `test` returns in a child of this process; empty if the child died.
template <class Test>
std::string in_child(Test test) {
  int ends[2];
  if (::pipe(ends) != 0) return {};
  pid_t const child = ::fork();
  if (child < 0) return {};
  if (child == 0) {
    std::string const said = test();
    ssize_t const written = ::write(ends[1], said.data(), said.size());
    ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);  // no destructors: they are the parent's
  }
  ::close(ends[1]);
  std::string said;
  char block[4096];
  for (ssize_t got = 1; got > 0;) {
    got = ::read(ends[0], block, sizeof block);
    if (got > 0) said.append(block, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? said : std::string();
}

}  // namespace io_test
