#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "run.hpp"

namespace kadoro_sim {

/// Writes what happens in a run to a file, one JSON object a line: datagrams with their fate, and faults, starts and
/// phases. The time is in seconds since the start of the run.
class trace_file final : public run_observer {
 public:
  /// Fails with `io_failure`, naming the file.
  static kadoro::result<trace_file> create(std::string const& path);

  trace_file(trace_file&&) noexcept = default;
  trace_file& operator=(trace_file&&) noexcept = default;
  /// Writes what is left; whoever wants to know whether that worked calls `finish`.
  ~trace_file();

  void on_datagram(kadoro::time_point now, std::uint64_t event, kadoro::io::endpoint const& from,
                   kadoro::io::endpoint const& to, kadoro::bytes_view data, kadoro::io::sim::fate what) override;
  void on_event(kadoro::time_point now, std::uint64_t event, std::string_view kind, std::string_view text) override;

  /// Writes what is left and closes the file. Fails with `io_failure` if anything since the start could not be written.
  kadoro::result<void> finish();

 private:
  struct closer {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };

  trace_file(std::string path, std::FILE* file);
  void begin_line(kadoro::time_point now, std::uint64_t event);
  void end_line();
  void write_out() noexcept;

  std::string path_;
  std::unique_ptr<std::FILE, closer> file_;
  std::string buffer_;
  std::optional<kadoro::time_point> start_;
  int problem_ = 0;  // the first errno
};

/// What kind of datagram this is, by its look from outside: `first_flight`, `answer`, `sealed`, `other_identity`, or
/// `?` for noise and for other protocols.
std::string_view kind_of(kadoro::bytes_view data) noexcept;

}  // namespace kadoro_sim
