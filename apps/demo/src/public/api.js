const tokens = new Map();

/** Calls the API and returns its answer. @throws Error with the server's message. */
export async function api(method, path, { token, body } = {}) {
  const response = await fetch(path, {
    method,
    headers: {
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(body && { 'Content-Type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (response.status === 204) return undefined;
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const message = [answer.message].flat().filter(Boolean).join(', ') || response.statusText;
  // A restart of the server, or an hour, invalidates tokens: the next click signs in again.
  if (response.status === 401) tokens.clear();
  throw new Error(message);
}

/** Signs in, once per account, and returns the token. Tokens live in this page's memory only. */
export async function signInAs(email, password) {
  if (!tokens.has(email)) {
    const { token } = await api('POST', '/api/auth/login', { body: { email, password } });
    tokens.set(email, token);
  }
  return tokens.get(email);
}
