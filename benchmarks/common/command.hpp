#pragma once

#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace bench {

/// What the runner says to a program, on its command line or in a line of its standard input: a word, then settings as
/// `name=value`. A program answers every line with one line of JSON.
class command {
 public:
  explicit command(std::string const& line) {
    std::istringstream in(line);
    in >> word_;
    for (std::string one; in >> one;) set(one);
  }
  command(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) set(argv[i]);
  }

  std::string const& word() const noexcept { return word_; }
  std::string text(std::string const& name, std::string const& otherwise = {}) const {
    auto const at = settings_.find(name);
    return at == settings_.end() ? otherwise : at->second;
  }
  std::size_t number(std::string const& name, std::size_t otherwise = 0) const {
    auto const at = settings_.find(name);
    return at == settings_.end() ? otherwise : std::stoull(at->second);
  }

 private:
  void set(std::string const& one) {
    auto const equals = one.find('=');
    if (equals != std::string::npos) settings_[one.substr(0, equals)] = one.substr(equals + 1);
  }

  std::string word_;
  std::map<std::string, std::string> settings_;
};

/// The operations that a `put` or `get` line asks for. Every program makes the same keys and values of it, so a reader
/// needs to be told nothing but this.
struct plan {
  explicit plan(command const& from)
      : is_signed(from.text("kind") == "signed"),
        tag(from.text("tag", "a")),
        first(from.number("first")),
        count(from.number("count", 1)),
        value_bytes(from.number("bytes", 300)),
        in_flight(from.number("in_flight", 1)) {
    for (std::size_t i = 0; i < count; ++i) values_.push_back(make_value(i));
  }

  bool is_signed;
  std::string tag;
  std::size_t first;
  std::size_t count;
  std::size_t value_bytes;
  std::size_t in_flight;

  std::vector<std::uint8_t> const& value(std::size_t index) const { return values_[index]; }
  std::string key(std::size_t index) const { return tag + "/" + std::to_string(first + index); }

 private:
  /// Bytes that do not compress and that nothing else has: splitmix64, seeded with a hash (FNV-1a) of the key.
  std::vector<std::uint8_t> make_value(std::size_t index) const {
    std::uint64_t state = 14695981039346656037U;
    for (char const c : key(index)) state = (state ^ static_cast<unsigned char>(c)) * 1099511628211U;
    std::vector<std::uint8_t> out(value_bytes);
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i % 8 == 0) state += 0x9e3779b97f4a7c15U;
      std::uint64_t mixed = state;
      mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
      mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
      out[i] = static_cast<std::uint8_t>((mixed ^ (mixed >> 31)) >> (i % 8 * 8));
    }
    return out;
  }

  std::vector<std::vector<std::uint8_t>> values_;  // made before anything is timed
};

}  // namespace bench
