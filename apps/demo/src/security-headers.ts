import type { NextFunction, Request, Response } from 'express';

const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

// Swagger UI writes style attributes and draws its icons from data URLs.
const DOCS_POLICY = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
  "img-src 'self'",
  "img-src 'self' data:",
);

/** Middleware that tells the browser to load nothing from elsewhere, run nothing inline and show this in no frame. */
export function securityHeaders(docsPath: string) {
  return (request: Request, response: Response, next: NextFunction) => {
    response.setHeader(
      'Content-Security-Policy',
      request.path.startsWith(docsPath) ? DOCS_POLICY : PAGE_POLICY,
    );
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Referrer-Policy', 'no-referrer');
    if (request.path.startsWith('/api/')) response.setHeader('Cache-Control', 'no-store');
    next();
  };
}
