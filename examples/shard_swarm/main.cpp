// A swarm of model shards: a rendezvous, nodes that announce the shard they hold and find the others, and a scenario
// that starts all of these as processes and checks what they see.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "event_log.hpp"
#include "settings.hpp"

namespace {

using namespace shard_swarm;

constexpr std::size_t max_operations = 10'000'000;

/// What CLI11 cannot know: each gives the reason why a value makes no sense, or nothing.
std::string check_endpoint(std::string const& text) {
  auto const parsed = io::endpoint::parse(text);
  return parsed ? std::string() : parsed.error().message();
}

std::string check_quorum(std::string const& text) {
  auto const parsed = kad::quorum::parse(text);
  return parsed ? std::string() : parsed.error().message();
}

void add_io_option(CLI::App& to, std::string& io) {
  to.add_option(
        "--io", io,
        "backend: uring, asio, or auto for the first of these that can be had; default: what KADORO_IO says, or auto")
      ->check(CLI::IsMember({"auto", "asio", "uring"}));
}

void add_member_options(CLI::App& to, member_settings& s) {
  add_io_option(to, s.io);
  to.add_option("--listen", s.listen, "IP:PORT to listen on, port 0 for any free one; [::1]:0 for IPv6; twice for both")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(CLI::Validator(check_endpoint, "IP:PORT"));
  to.add_option("--identity", s.identity, "file of the identity, made if it is missing; without it a fresh one");
  to.add_option("--swarm-key", s.swarm_key, "file with a secret of at least 16 bytes that all members share");
  to.add_option(
      "--data", s.data,
      "folder where what this member holds and knows survives a restart, and its identity if --identity names "
      "no file");
  to.add_flag("--data-required", s.data_required, "without a folder that can be read and written, end");
  to.add_option("--replicas", s.replicas, "on how many peers a record is stored")
      ->check(CLI::Range(std::size_t{1}, kad::table_options().k))
      ->capture_default_str();
  to.add_option("--addr-file", s.addr_file, "file that gets this member's multiaddr");
  to.add_option("--events", s.events, "file to which events are appended, one JSON object a line");
  to.add_option("--status-interval", s.status_interval_s, "seconds between status blocks; 0: none")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
}

void add_node_options(CLI::App& to, node_settings& s) {
  add_member_options(to, s);
  to.add_option("--bootstrap", s.bootstrap,
                "multiaddrs of members to start from; not needed with --data, after the first time");
  to.add_option("--cluster", s.cluster, "name of the swarm")->capture_default_str();
  to.add_option("--shard-id", s.shard_id, "the shard that this node holds")->required()->envname("LLAMA_SHARD_ID");
  to.add_option("--total-shards", s.total_shards, "shards of the model")
      ->check(CLI::Range(1u, 4096u))
      ->envname("LLAMA_TOTAL_SHARDS")
      ->capture_default_str();
  to.add_option("--total-layers", s.total_layers, "layers of the model")
      ->check(CLI::Range(1u, 1u << 20))
      ->envname("LLAMA_TOTAL_LAYERS")
      ->capture_default_str();
  to.add_option("--model-name", s.model_name, "name of the model")->envname("LLAMA_MODEL_NAME")->capture_default_str();
  to.add_option("--shards-dir", s.shards_dir, "folder with shard-N.gguf; the shard counts as loaded if it is there")
      ->envname("LLAMA_SHARDS_DIR");
  to.add_option("--lifetime", s.lifetime_s, "seconds that an announcement lives without its holder")
      ->check(CLI::Range(1.0, 86400.0))
      ->capture_default_str();
  to.add_option("--quorum", s.quorum, "of puts: one, majority, all or a number")
      ->check(CLI::Validator(check_quorum, "QUORUM"))
      ->capture_default_str();
  to.add_option("--put", s.put, "once all shards are found: so many puts, one after the other, timed")
      ->check(CLI::Range(std::size_t{0}, max_operations));
  to.add_flag("--durable", s.durable, "the puts are to be on disk at their quorum before they count");
  to.add_option("--get", s.get, "then so many gets of keys that another shard's node has put")
      ->check(CLI::Range(std::size_t{0}, max_operations));
  to.add_option("--get-from", s.get_from, "whose keys; default: the next shard's");
}

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

int usage_error(std::string const& what) {
  std::fprintf(stderr, "shard_swarm: %s\n", one_line(what).c_str());
  return exit_usage;
}

/// What depends on more than one option.
std::string contradiction(node_settings const& s) {
  if (s.bootstrap.empty() && s.data.empty()) return "--bootstrap is required, unless --data knows other members";
  if (s.shard_id >= s.total_shards)
    return "--shard-id " + std::to_string(s.shard_id) + ": there are only " + std::to_string(s.total_shards) +
           " shards, from 0";
  if (s.get_from && *s.get_from >= s.total_shards)
    return "--get-from " + std::to_string(*s.get_from) + ": there are only " + std::to_string(s.total_shards) +
           " shards, from 0";
  if (s.total_layers < s.total_shards)
    return "--total-layers " + std::to_string(s.total_layers) + ": fewer than the " + std::to_string(s.total_shards) +
           " shards";
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  process_started();
  CLI::App app(
      "A swarm of model shards over kadoro. Without a command: one rendezvous and eight nodes on this machine, "
      "and a scenario that checks what they see.");
  app.require_subcommand(0, 1);
  scenario_settings scenario;
  app.add_flag("--json", scenario.json, "print one JSON object with the outcome, and nothing else");
  app.add_flag("--keep", scenario.keep, "go on after the scenario, until Ctrl-C");
  add_io_option(app, scenario.io);

  member_settings rendezvous;
  CLI::App& rendezvous_command = *app.add_subcommand("rendezvous", "the member that others start from");
  add_member_options(rendezvous_command, rendezvous);
  rendezvous_command.add_option("--bootstrap", rendezvous.bootstrap, "multiaddrs of other members, if there are any");
  rendezvous_command.add_option("--mode", rendezvous.mode, "server, or client: then it stores nothing")
      ->check(CLI::IsMember({"server", "client"}))
      ->capture_default_str();

  node_settings node;
  CLI::App& node_command = *app.add_subcommand("node", "holds a shard, and finds who holds the others");
  add_node_options(node_command, node);

  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help
    return usage_error(e.what());
  }
  if (rendezvous_command.parsed() || node_command.parsed()) {
    if (scenario.json || scenario.keep || !scenario.io.empty())
      return usage_error("--json, --keep and an --io before it belong to the scenario, without a command");
  }
  if (rendezvous_command.parsed()) return run_rendezvous(rendezvous);
  if (!node_command.parsed()) return run_scenario(scenario);
  std::string const problem = contradiction(node);
  if (!problem.empty()) return usage_error(problem);
  return run_node(node);
}
