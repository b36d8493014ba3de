#pragma once

/// @file
/// The coroutine floor: everything in `kadoro::coro`. Knows no sockets; runs on any `coro::scheduler`.

#include "kadoro/coro/cancel.hpp"
#include "kadoro/coro/channel.hpp"
#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/environment.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/coro/frame_pool.hpp"
#include "kadoro/coro/outcome.hpp"
#include "kadoro/coro/race.hpp"
#include "kadoro/coro/scheduler.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/coro/spawned.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/coro/waiter.hpp"
#include "kadoro/coro/when_all.hpp"
#include "kadoro/coro/yield.hpp"
