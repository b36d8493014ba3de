#pragma once

#include "kadoro/kad/node_options.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL result<std::unique_ptr<transport::transport>> open_datagram(io::context& context,
                                                                        transport::peer_book& book,
                                                                        crypto::identity const& self,
                                                                        node_options const& options) {
  transport::datagram::options how;
  how.listen = options.listen;
  how.also_listen = options.also_listen;
  how.mode = options.mode;
  how.swarm_key = options.swarm_key;
  auto opened = transport::datagram::datagram_transport::open(context, book, self, how);
  if (!opened) return fail(opened.error());
  return std::unique_ptr<transport::transport>(std::move(*opened));
}

}  // namespace kadoro::inline KADORO_ABI::kad
