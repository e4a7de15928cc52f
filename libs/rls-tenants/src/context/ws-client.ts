/** By client: the request that {@link rememberRequest} was given. */
const requests = new WeakMap<object, object>();

/** Remembers the request that a WebSocket client's tenant is resolved from. */
export function rememberRequest(client: object, request: object): void {
  requests.set(client, request);
}

/**
 * The request behind a WebSocket client: the one that was remembered for it, or the handshake that socket.io keeps.
 * A client of `ws` keeps none.
 */
export function requestOfClient(client: object): object | undefined {
  return requests.get(client) ?? (client as { request?: object }).request;
}
