"""Fixtures for tidy.py: what each rule must report, and what it must let pass."""


def header(body):
    return "#pragma once\n" + body + "\n"


def coroutine(body):
    return {"tests/kad/test_x.cpp": "coro::task<void> f(int a) {\n  " + body + "\n}\n"}


# (expected rule, files). The path of the violation is the first file.
REPORTED = [
    ("floor", {"include/kadoro/coro/x.hpp": header('#include "kadoro/io/context.hpp"')}),
    ("floor", {"include/kadoro/transport/datagram/impl/x.hpp": header('#include "kadoro/kad/key.hpp"')}),
    ("floor", {"include/kadoro/kad/x.hpp": header('#include "kadoro.hpp/no"\n#include "kadoro/src.hpp"')}),
    ("floor", {"include/kadoro/attic/x.hpp": header("")}),
    ("platform", {"include/kadoro/kad/x.hpp": header("#include <sys/socket.h>")}),
    ("platform", {"include/kadoro/io/x.hpp": header("#include <asio.hpp>")}),
    ("platform", {"include/kadoro/io/sim/x.hpp": header("#  include <unistd.h>")}),
    ("platform", {"include/kadoro/kad/x.hpp": header('#include "kadoro/io/asio/context.hpp"')}),
    ("platform", {"include/kadoro/kad/x.hpp": header("#include <lmdb.h>")}),
    ("platform", {"include/kadoro/kad/x.hpp": header('#include "kadoro/io/lmdb/database.hpp"')}),
    ("pragma-once", {"include/kadoro/kad/x.hpp": "#include <vector>\n"}),
    ("pragma-once", {"tests/kad/helper.hpp": "// #pragma once\nint x;\n"}),
    ("length", {"include/kadoro/kad/x.hpp": header("\n" * 460)}),
    ("whitespace", {"docs/x.md": "a line \n"}),
    ("whitespace", {"include/kadoro/kad/x.hpp": header("\tint x;")}),
    ("whitespace", {"docs/x.md": "no newline"}),
    ("clock", {"include/kadoro/kad/x.hpp": header("auto now = std::chrono::steady_clock::now();")}),
    ("clock", {"include/kadoro/io/sim/x.hpp": header("std::random_device d;")}),
    ("clock", {"tests/kad/x.cpp": "std::uniform_int_distribution<int> d(1, 6);\n"}),
    ("clock", {"tests/kad/x.cpp": "int x = std::rand();\n"}),
    ("clock", {"tests/kad/x.cpp": "auto x = time(nullptr);\n"}),
    ("sleep", {"tests/io/x.cpp": "std::this_thread::sleep_for(1s);\n"}),
    ("sleep", {"tests/integration/x.cpp": "int f() { usleep(10); }\n"}),
    ("unordered", {"include/kadoro/kad/x.hpp": header("std::unordered_map<int, int> m;")}),
    ("unordered", {"include/kadoro/coro/x.hpp": header("#include <unordered_set>")}),
    ("link", {"docs/x.md": "See [the plan](missing.md).\n"}),
    ("link", {"README.md": "See [the plan](docs/missing.md#part).\n"}),
    ("src", {"include/kadoro/kad/impl/x.ipp": header(""), "include/kadoro/src.hpp": header("")}),
    (
        "src",
        {
            "include/kadoro/io/asio/impl/x.ipp": header(""),
            "include/kadoro/src.hpp": header('#include "kadoro/io/asio/impl/x.ipp"'),
        },
    ),
    (
        "umbrella",
        {"include/kadoro.hpp": header('#include "kadoro/kad/a.hpp"'), "include/kadoro/kad/b.hpp": header("")},
    ),
    (
        "umbrella",
        {
            "include/kadoro.hpp": header('#include "kadoro/io/asio/context.hpp"'),
            "include/kadoro/io/asio/context.hpp": header(""),
        },
    ),
    ("co_await", coroutine("if (co_await g()) co_return;")),
    ("co_await", coroutine("if (auto x = co_await g(); x) {\n  }")),
    ("co_await", coroutine("while (!co_await g()) {\n  }")),
    ("co_await", coroutine("for (auto& x : co_await g()) use(x);")),
    ("co_await", coroutine("for (;; co_await g()) {\n  }")),
    ("co_await", coroutine("switch (co_await g()) {\n  }")),
    ("co_await", coroutine("auto x = a ? co_await g() : co_await h();")),
    ("co_await", coroutine("auto x = co_await g(a ? 1 : 2);")),
    ("co_await", coroutine("CHECK(co_await g());")),
    ("co_await", coroutine("REQUIRE_EQ(1, (co_await g()).value());")),
    ("co_await", coroutine("co_await g({1, 2, 3});")),
    ("co_await", coroutine("co_await g(options{.n = 2});")),
    ("co_await", coroutine("use(options{}, co_await g());")),
    ("co_await", coroutine("options o{co_await g()};")),
    ("co_await", coroutine("options o = {co_await g()};")),
    ("co_await", coroutine("co_return options{co_await g()};")),
    ("co_await", coroutine("co_await g([a] { return a; });")),
    ("co_await", coroutine("co_await g([&](int b) -> int {\n    use(b);\n    return a;\n  });")),
    ("co_await", coroutine("auto [x, y] = co_await g();")),
    ("co_await", coroutine("if (a) co_await g();")),
    ("co_await", coroutine("if (a) co_return co_await g();")),
    ("co_await", coroutine("for (auto& x : y)\n    co_await x;")),
    ("co_await", coroutine("if (a) {\n    use(a);\n  } else co_await g();")),
    ("co_await", coroutine("if (a) {\n    auto x =\n        co_await\n        g({});\n  }")),
    ("coroutine-capture", coroutine("auto h = [a]() -> coro::task<void> {\n    co_await g(a);\n  };")),
    ("coroutine-capture", {"examples/x.cpp": "auto h = [&](int b) -> task<int> { co_return b; };\n"}),
]

ALLOWED = [
    {"include/kadoro/io/x.hpp": header('#include "kadoro/coro/task.hpp"\n#include "kadoro/io/endpoint.hpp"')},
    {"include/kadoro/crypto/x.hpp": header('#include "kadoro/multiformats/varint.hpp"\n// #include "kadoro/kad/key.hpp"')},
    {"include/kadoro/io/asio/x.hpp": header("#include <asio.hpp>\n#include <sys/socket.h>\nsteady_clock c;")},
    {"include/kadoro/io/posix/x.hpp": header('#include <unistd.h>\n#include "kadoro/io/storage.hpp"')},
    {"tests/integration/x.cpp": "#include <sys/wait.h>\nauto t = std::chrono::steady_clock::now();\n"},
    {"tests/coro/x.cpp": "// sleep(1); std::random_device\nauto t = coro::sleep_for(1s);\nloop.sleep(2s);\n"},
    {"tests/kad/x.cpp": 'auto s = "co_await ? {";\nauto c = \'"\';\nint big = 1\'000\'000;\n'},
    {"include/kadoro/io/x.hpp": header("std::unordered_map<int, int> m;  // not a floor where order leaks")},
    {"docs/x.md": "[a](y.md) [b](https://x.org) [c](#part) [d](../README.md#x)\n```\n[no](nothing.md)\n```\n",
     "docs/y.md": "y\n", "README.md": "[docs](docs/)\n"},  # fmt: skip
    {
        "include/kadoro/kad/impl/x.ipp": header(""),
        "include/kadoro/kad/x.hpp": header('#include "kadoro/kad/impl/x.ipp"'),
        "include/kadoro/src.hpp": header('#include "kadoro/kad/impl/x.ipp"'),
        "include/kadoro.hpp": header('#include "kadoro/kad/x.hpp"'),
    },
    coroutine("auto x = co_await g();\n  if (x) co_return;"),
    coroutine("if (a) {\n    co_await g();\n  }"),
    coroutine("auto x = options{1};\n  co_await g(std::move(x));"),
    coroutine("co_return co_await g(a, b[a], h(1'000));"),
    coroutine("auto x = a ? 1 : 2;\n  co_await g();\n  auto y = x ? 3 : 4;"),
    coroutine("for (auto i : v) {\n    co_await g(i);\n  }\n  auto n = [a] { return a; };"),
    coroutine("auto r = run([](int b) -> coro::task<int> {\n    auto x = co_await g(b);\n    co_return x;\n  }(a));"),
    coroutine("CHECK(run([](int b) -> coro::task<int> { co_return co_await g(b); }(a)) == 1);"),
    coroutine("auto h = [&] { return a; };\n  co_await g();"),
    coroutine("static_cast<void>(co_await g());"),
    {"tests/toolchain/canaries.cpp": "task<int> f() { if (co_await g()) co_return 1; }\n"},
]


def run(check):
    failures = 0
    for rule, files in REPORTED:
        first = next(iter(files))
        found = [f for f in check(files) if f.rule == rule and f.path == first]
        if not found:
            failures += 1
            print(f"self-test: the rule {rule} did not report:\n{files[first][:300]}")
    for files in ALLOWED:
        for finding in check(files):
            failures += 1
            print(f"self-test: reported without reason: {finding}\n{files[finding.path][:300]}")
    rules = {rule for rule, _ in REPORTED}
    print(f"tidy self-test: {len(rules)} rules, {len(REPORTED)} bad and {len(ALLOWED)} good samples, {failures} failures")
    return 1 if failures else 0
