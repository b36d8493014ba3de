// Kadoro on real sockets for hours: processes under load that are killed and come back, and a swarm under churn.

#include <CLI/CLI.hpp>
#include <cstdio>

#include "plan.hpp"
#include "settings.hpp"

namespace {

using namespace kadoro_soak;

int print_plan(soak_settings const& s) {
  for (disturbance const& d : draw_plan(s.seed, s.minutes, s.processes, s.gap_s))
    std::printf("%9.3f s  %s  process %zu, for %.3f s%s\n", d.at_s, std::string(to_string(d.what)).c_str(), d.who,
                d.for_s,
                d.what == deed::stop ? ""
                : d.seeded           ? ", starts with addresses"
                                     : ", starts from its database");
  return exit_good;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Kadoro on real sockets for hours, and what must never happen meanwhile.");
  app.require_subcommand(1);

  soak_settings soak;
  bool plan_only = false;
  CLI::App& run =
      *app.add_subcommand("run", "processes under constant load, with databases, killed at random and started again");
  run.add_option("--minutes", soak.minutes)->check(CLI::Range(0.1, 1e5))->capture_default_str();
  run.add_option("--processes", soak.processes, "the first two are never killed")
      ->check(CLI::Range(std::size_t{3}, std::size_t{20}))
      ->capture_default_str();
  run.add_option("--seed", soak.seed, "of the plan and of the load")->capture_default_str();
  run.add_option("--rate", soak.rate, "operations a second, of each process")
      ->check(CLI::Range(0.1, 1e4))
      ->capture_default_str();
  run.add_option("--gap", soak.gap_s, "seconds between two kills, on average")
      ->check(CLI::Range(0.5, 1e5))
      ->capture_default_str();
  run.add_option("--replicas", soak.replicas)->check(CLI::Range(1, 20))->capture_default_str();
  run.add_option("--data", soak.folder, "folder for the databases; default: one in /tmp that goes if all is well");
  run.add_flag("--json", soak.json, "one object on standard output; the table goes to standard error");
  run.add_flag("--steps", soak.steps, "of what is not right, whom the get asked; costs time");
  run.add_flag("--plan", plan_only, "print who is killed when, and end");

  churn_settings churn;
  CLI::App& swarm = *app.add_subcommand(
      "churn", "many nodes in this process, each on its own address of 127.0.0.0/8, that leave and come");
  swarm.add_option("--nodes", churn.nodes)->check(CLI::Range(3, 60000))->capture_default_str();
  swarm.add_option("--churn", churn.churn_percent, "percent of the nodes that leave in a minute, half without a word")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  swarm.add_option("--minutes", churn.minutes, "of churn, once all are there")
      ->check(CLI::Range(0.1, 1e5))
      ->capture_default_str();
  swarm.add_option("--gets", churn.gets, "a second, all nodes together")
      ->check(CLI::Range(0.1, 1e5))
      ->capture_default_str();
  swarm.add_option("--puts", churn.puts, "a second, all nodes together")
      ->check(CLI::Range(0.01, 1e5))
      ->capture_default_str();
  swarm.add_option("--keys", churn.keys, "of each node")->check(CLI::Range(1, 1000))->capture_default_str();
  swarm.add_option("--lifetime", churn.lifetime_minutes, "minutes that a record lives without its publisher")
      ->check(CLI::Range(0.1, 2000.0))
      ->capture_default_str();
  swarm.add_option("--replicas", churn.replicas)->check(CLI::Range(1, 20))->capture_default_str();
  swarm.add_option("--threads", churn.threads)->check(CLI::Range(1, 64))->capture_default_str();
  swarm.add_option("--seed", churn.seed, "of who leaves when, and of the load")->capture_default_str();
  swarm.add_flag("--json", churn.json, "one object on standard output; the table goes to standard error");

  loopback_settings loopback;
  CLI::App& quick = *app.add_subcommand(
      "loopback",
      "how fast nine processes of shard_swarm find each other, see one leave and see one killed, and what "
      "nine directories ask when nothing happens");
  quick.add_option("--program", loopback.program, "shard_swarm")->required();
  quick.add_option("--runs", loopback.runs, "of its scenario; 0: none")->capture_default_str();
  quick.add_option("--rest", loopback.rest_s, "seconds that are counted at rest; 0: none")->capture_default_str();

  worker_settings worker;
  CLI::App& one = *app.add_subcommand("worker", "one of the processes; `run` starts it");
  one.group("");
  one.add_option("--index", worker.index);
  one.add_option("--life", worker.life);
  one.add_option("--seed", worker.seed);
  one.add_option("--processes", worker.processes);
  one.add_option("--rate", worker.rate);
  one.add_option("--replicas", worker.replicas);
  one.add_option("--data", worker.folder)->required();
  one.add_option("--listen", worker.listen)->required();
  one.add_option("--peers", worker.peers);
  one.add_flag("--steps", worker.steps);

  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help
    std::fprintf(stderr, "kadoro-soak: %s\n", e.what());
    return exit_usage;
  }
  if (one.parsed()) return run_worker(worker);
  if (quick.parsed()) return run_loopback(loopback);
  if (swarm.parsed()) return run_churn(churn);
  return plan_only ? print_plan(soak) : run_soak(soak);
}
