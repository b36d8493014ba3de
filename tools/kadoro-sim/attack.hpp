#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

namespace kadoro_sim {

/// An attack by somebody who makes up identities until they lie where it wants them.
struct attack_settings {
  enum class aim : std::uint8_t {
    capture,  ///< of a key: sybils around it swallow what is put there, and find nothing
    eclipse   ///< of a node that joins: one of its three seeds, and all around its id, is the attacker's
  };

  aim what = aim::capture;    ///< of keys right beside each other, one for each of 20 publishers
  std::size_t nodes = 200;    ///< honest ones, each in an address range of its own
  std::size_t sybils = 20;    ///< ground to lie close to the key, or to the id of the node that joins
  std::size_t ranges = 4;     ///< that the sybils live in; 0: each has its own
  std::size_t replicas = 20;  ///< r
  bool limit_ranges = true;   ///< of contacts in buckets, lookups and views
  bool use_region = true;     ///< where others crowd around a key, store in the whole region
};

/// What became of it, in numbers. The same seed gives the same.
struct attack_outcome {
  std::size_t puts = 0;
  std::size_t puts_captured = 0;   ///< that no honest node but the publisher holds
  std::size_t honest_copies = 0;   ///< of all puts
  std::size_t asked_to_store = 0;  ///< |R| of all puts
  std::size_t gets = 0;            ///< by readers that do not hold it themselves
  std::size_t gets_captured = 0;   ///< that did not find it
  std::size_t contacts = 0;        ///< of the node that joined
  std::size_t honest_contacts = 0;
  std::size_t sybils_known = 0;  ///< by all honest nodes together, in their tables

  nlohmann::ordered_json to_json() const;
};

attack_outcome run_attack(attack_settings const& how, std::uint64_t seed);
attack_outcome operator+(attack_outcome a, attack_outcome const& b) noexcept;

}  // namespace kadoro_sim
