import { CanActivate, Injectable, UnauthorizedException, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { JwtService } from '@nestjs/jwt';
import { IS_PUBLIC } from './public.decorator.js';
import type { AuthenticatedRequest, SignedInUser } from './signed-in-user.js';

/**
 * Lets a request through with a token that this application signed and that has not expired, and sets `request.user`.
 * Guards run before interceptors, so the tenant interceptor finds a verified user or is never reached.
 */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly jwt: JwtService,
    private readonly reflector: Reflector,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (this.reflector.getAllAndOverride(IS_PUBLIC, [context.getHandler(), context.getClass()])) return true;
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    request.user = await this.verify(request.headers.authorization);
    return true;
  }

  private async verify(authorization: string | undefined): Promise<SignedInUser> {
    const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) throw new UnauthorizedException('Sign in first: send a bearer token.');
    try {
      const { sub, name, email, workspaceId } = await this.jwt.verifyAsync<Record<string, unknown>>(token);
      return {
        id: textClaim(sub),
        name: textClaim(name),
        email: textClaim(email),
        workspaceId: textClaim(workspaceId),
      };
    } catch {
      throw new UnauthorizedException('The token is invalid or has expired: sign in again.');
    }
  }
}

function textClaim(value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new UnauthorizedException();
}
