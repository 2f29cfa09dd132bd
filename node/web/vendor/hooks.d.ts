// What the page uses of the view library's hooks.
export function useState<T>(initial: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
export function useEffect(effect: () => void | undefined | (() => void), inputs?: any[]): void;
export function useLayoutEffect(effect: () => void | undefined | (() => void), inputs?: any[]): void;
export function useRef<T>(initial: T): { current: T };
export function useMemo<T>(make: () => T, inputs?: any[]): T;
export function useCallback<T>(callback: T, inputs?: any[]): T;
export function useReducer(reducer: any, initial: any): [any, (action: any) => void];
export function useErrorBoundary(callback?: (error: any) => void): [any, () => void];
export function useContext(context: any): any;
export function useId(): string;
