#include "trace_file.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kadoro/transport/datagram/packet.hpp"

namespace kadoro_sim {

using namespace kadoro;

namespace {

constexpr std::size_t buffer_bytes = 1 << 20;

void append(std::string& to, std::uint64_t value) {
  char text[24];
  to.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

/// Microseconds are enough to tell events apart, and the number has the same text with every compiler.
void append_seconds(std::string& to, duration since) {
  auto const us = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
  append(to, us / 1'000'000);
  char fraction[8] = ".000000";
  std::uint64_t rest = us % 1'000'000;
  for (int i = 6; i > 0; --i, rest /= 10) fraction[i] = static_cast<char>('0' + rest % 10);
  to.append(fraction, 7);
}

void append_quoted(std::string& to, std::string_view text) {
  nlohmann::json const value = text;
  to += value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string_view kind_of(bytes_view data) noexcept {
  using namespace transport::datagram;
  if (data.size() < 4) return "?";
  bool const versioned = data[1] == protocol_version && data[2] == 0 && data[3] == 0;
  switch (static_cast<packet_type>(data[0])) {
    case packet_type::first_flight:
      if (versioned && data.size() == first_flight_bytes) return "first_flight";
      break;
    case packet_type::answer:
      if (versioned && data.size() <= max_answer_bytes) return "answer";
      break;
    case packet_type::sealed:
      if (data[1] == 0 && data[2] == 0 && data[3] == 0 && data.size() >= sealed_header_bytes + tag_bytes)
        return "sealed";
      break;
    case packet_type::other_identity:
      if (versioned && data.size() == other_identity_bytes) return "other_identity";
      break;
    case packet_type::cookie:
      if (versioned && data.size() == cookie_packet_bytes) return "cookie";
      break;
  }
  return "?";
}

result<trace_file> trace_file::create(std::string const& path) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return fail(errc::io_failure, "cannot write " + path + ": " + std::strerror(errno));
  return trace_file(path, file);
}

trace_file::trace_file(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {
  std::setvbuf(file, nullptr, _IONBF, 0);  // the buffer here is enough
  buffer_.reserve(buffer_bytes + 1024);
}

trace_file::~trace_file() { write_out(); }

void trace_file::on_datagram(time_point now, std::uint64_t event, io::endpoint const& from, io::endpoint const& to,
                             bytes_view data, io::sim::fate what) {
  begin_line(now, event);
  buffer_ += ",\"from\":\"";
  buffer_ += from.to_string();
  buffer_ += "\",\"to\":\"";
  buffer_ += to.to_string();
  buffer_ += "\",\"bytes\":";
  append(buffer_, data.size());
  buffer_ += ",\"fate\":\"";
  buffer_ += io::sim::to_string(what);
  buffer_ += "\",\"kind\":\"";
  buffer_ += kind_of(data);
  buffer_ += '"';
  end_line();
}

void trace_file::on_event(time_point now, std::uint64_t event, std::string_view kind, std::string_view text) {
  begin_line(now, event);
  buffer_ += ",\"kind\":";
  append_quoted(buffer_, kind);
  buffer_ += ",\"text\":";
  append_quoted(buffer_, text);
  end_line();
}

result<void> trace_file::finish() {
  write_out();
  if (file_ != nullptr && std::fclose(file_.release()) != 0 && problem_ == 0) problem_ = errno;
  if (problem_ != 0) return fail(errc::io_failure, "cannot write " + path_ + ": " + std::strerror(problem_));
  return {};
}

void trace_file::begin_line(time_point now, std::uint64_t event) {
  if (!start_) start_ = now;
  buffer_ += "{\"t\":";
  append_seconds(buffer_, now - *start_);
  buffer_ += ",\"event\":";
  append(buffer_, event);
}

void trace_file::end_line() {
  buffer_ += "}\n";
  if (buffer_.size() >= buffer_bytes) write_out();
}

void trace_file::write_out() noexcept {
  if (file_ != nullptr && problem_ == 0 &&
      std::fwrite(buffer_.data(), 1, buffer_.size(), file_.get()) != buffer_.size())
    problem_ = errno;
  buffer_.clear();
}

}  // namespace kadoro_sim
