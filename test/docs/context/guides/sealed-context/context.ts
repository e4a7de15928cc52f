/** Where keys may come from. */
export declare const vault: { read(name: string): Promise<{ id: string; base64: string }> };
