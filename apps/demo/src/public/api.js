const tokens = new Map();

/** Calls the API and returns its answer. @throws ApiError with the server's message. */
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
  throw new ApiError(
    response.status,
    [answer.message].flat().filter(Boolean).join(', ') || response.statusText,
  );
}

/**
 * Calls the API as somebody, signing in if need be. Tokens live in this page's memory only; an hour, or a restart of
 * the server, makes them worthless, so that a refused one is replaced once.
 */
export async function apiAs({ user, password }, method, path, body) {
  const call = async () => api(method, path, { token: await tokenOf(user.email, password), body });
  try {
    return await call();
  } catch (error) {
    if (error.status !== 401) throw error;
    tokens.delete(user.email);
    return call();
  }
}

class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The token, or the promise of it: calls that start together share one sign-in. */
function tokenOf(email, password) {
  if (!tokens.has(email)) {
    const signIn = api('POST', '/api/auth/login', { body: { email, password } }).then(({ token }) => token);
    signIn.catch(() => tokens.delete(email));
    tokens.set(email, signIn);
  }
  return tokens.get(email);
}
