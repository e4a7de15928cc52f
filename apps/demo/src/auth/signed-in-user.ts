import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';

/** Who sends a request, as the verified token says. */
export interface SignedInUser {
  id: string;
  name: string;
  email: string;
  /** The tenant. It comes from the token's signature-checked payload and from nowhere else. */
  workspaceId: string;
}

/** A request after `AuthGuard` has verified its token. */
export interface AuthenticatedRequest extends Request {
  user?: SignedInUser;
}

/** The signed-in user, as a handler's parameter. */
export const CurrentUser = createParamDecorator((_: unknown, context: ExecutionContext) => {
  const { user } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  return user;
});
